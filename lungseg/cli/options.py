# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have."""

from __future__ import annotations

import argparse

from lungseg.utils.errors import UsageError


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        metavar="WEIGHTS",
        help="shipped (default), montgomery (trained without the non-commercial masks, unlike what judges results), a "
        "file, or a run's folder",
    )


def add_data(parser: argparse.ArgumentParser, positional: bool = False) -> None:
    name = {"dest": "data", "metavar": "DIR", "help": "folder of the data set"}
    if positional:
        parser.add_argument("data", nargs="?", metavar="DIR", help=name["help"])
    else:
        parser.add_argument("--data", **name)
    parser.add_argument("--images", help="folder of images, instead of one that holds both")
    parser.add_argument("--masks", help="folder of masks, instead of one that holds both")
    parser.add_argument("--mask-suffix", help="what a mask's name has after its image's (default: _mask, or nothing)")
    if not positional:
        parser.add_argument("--sets", nargs="+", action="extend", help="use only these sets, such as montgomery")
        parser.add_argument(
            "--splits",
            metavar="FILE",
            help="JSON file with the split; written if it is not there (default: a seeded split, which images that are "
            "added change; weights of a run are measured by the run's splits.json)",
        )
        parser.add_argument("--patients", help="regular expression or CSV file that tells an image's patient")


def data_overrides(options: argparse.Namespace) -> dict:
    """Turn the options of `add_data` into overrides of the config's data source."""
    if options.data is None and options.images is None:
        raise UsageError("no data set was named", remedy="give --data DIR, or --images DIR and --masks DIR")
    overrides = {"dataset_dir": options.data}
    named = {
        "images": options.images,
        "masks": options.masks,
        "mask_suffix": options.mask_suffix,
        "sets": options.sets,
        "splits_file": options.splits,
        "patients": options.patients,
    }
    return overrides | {f"data_source#{name}": value for name, value in named.items() if value is not None}
