# SPDX-License-Identifier: Apache-2.0
"""A command's parser, and the options that several commands have."""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
    # A parser, or a group of its options.
    Options = argparse._ActionsContainer


def add_command(
    commands: Commands,
    name: str,
    purpose: str,
    example: str,
    run: Callable[[argparse.Namespace], int],
    description: str = "",
) -> argparse.ArgumentParser:
    """Add a command that shows an example in its help and takes `-v`, `-q` and `--debug`.

    Args:
        commands: the parsers of the commands, or of a command's own commands.
        name: of the command.
        purpose: one clause, for the list of commands.
        example: a whole command line, or several.
        run: takes the options and returns the exit status.
        description: further sentences, in lines as they are to be shown.
    """
    parser = commands.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.\n{description}",
        epilog=f"Example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("-v", "--verbose", action="store_true", help="show more detail")
    shown.add_argument("-q", "--quiet", action="store_true", help="show warnings and errors only")
    shown.add_argument("--debug", action="store_true", help="show all detail, tracebacks, and notices of libraries")
    parser.set_defaults(run=run, parser=parser, when_stopped=lambda options: "results that were finished are kept.")
    return parser


def log_level(options: argparse.Namespace) -> int:
    """Return the level of :mod:`logging` from which on messages are shown."""
    if options.verbose or options.debug:
        return logging.DEBUG
    return logging.WARNING if options.quiet else logging.INFO


def at_least_one(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def whole_number(text: str) -> int:
    """Parse a whole number of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def above_zero(text: str) -> float:
    """Parse a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def share(text: str) -> float:
    """Parse a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number


def add_output(parser: Options, purpose: str, default: str | None = None) -> None:
    """Add `-o/--output`, which is required where it has no default."""
    help_text = f"{purpose} (default: {default})" if default else purpose
    parser.add_argument("-o", "--output", default=default, required=default is None, metavar="PATH", help=help_text)


def add_weights(parser: Options) -> None:
    """Add `--weights`."""
    parser.add_argument(
        "--weights",
        metavar="WEIGHTS",
        help="shipped (default); open (trained on freely licensed data only); a weight file; or the folder of a run",
    )


def add_trust(parser: Options, thing: str) -> None:
    """Add `--trust`, which permits the code that a run or a bundle brings."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help=f"run the code that {thing} brings, as you would run a program of its author",
    )


def add_split(parser: Options, purpose: str) -> None:
    """Add `--split`, which names a list of the data set."""
    choices = ("train", "validation", "test", "all")
    parser.add_argument("--split", default="test", choices=choices, help=f"{purpose} (default: test)")


def add_device(parser: Options) -> None:
    """Add `--device`."""
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (default: auto)")


def add_overrides(parser: Options, example: str, *configs: str) -> None:
    """Add `--config ID=VALUE|FILE …`.

    Args:
        parser: of the command, or a group of its options.
        example: an override.
        configs: names of the bundle's configs that are merged, such as "train".
    """
    parser.set_defaults(configs=configs)
    parser.add_argument(
        "--config",
        nargs="+",
        action="extend",
        default=[],
        metavar="ID=VALUE",
        help=f"override items of the bundle's config, such as {example}, or with all items of a JSON file",
    )


def find_in_working_directory() -> None:
    """Let Python find modules in the working directory too, after the installed ones."""
    sys.path.append(os.getcwd())


def add_folders(parser: Options) -> None:
    """Add the options that name images and masks in folders of their own."""
    parser.add_argument("--images", metavar="DIR", help="folder of the images, if they have one of their own")
    parser.add_argument(
        "--masks",
        metavar="PATH",
        help="folder of the masks, if they have one of their own, or annotations: COCO or LabelMe JSON, or a CSV file "
        "with run lengths",
    )
    affixes = {
        "--image-prefix": "start of an image's name that its mask's name lacks, such as img_",
        "--image-suffix": "end of an image's name that its mask's name lacks, such as _0000",
        "--mask-prefix": "start of a mask's name before its image's name, such as mask_",
        "--mask-suffix": "end of a mask's name after its image's name (default: _mask, or nothing)",
    }
    for option, purpose in affixes.items():
        parser.add_argument(option, metavar="TEXT", help=purpose)
    parser.add_argument(
        "--labels",
        metavar="MEANINGS",
        help="what the values or colours of the masks stand for, such as right=1,left=2,heart=3,ignore=4 or lung=128 "
        "or right=#ff0000,left=#00ff00; ignore is for pixels that say nothing",
    )


def add_data(parser: Options) -> None:
    """Add the options that name a data set, its split and its patients."""
    parser.add_argument("--data", metavar="DIR", help="folder of the data set")
    add_folders(parser)
    parser.add_argument(
        "--datasets", nargs="+", action="extend", metavar="NAME", help="use only these data sets, such as montgomery"
    )
    parser.add_argument(
        "--splits",
        metavar="FILE",
        help="file with the train, validation and test lists: JSON, or CSV with the columns name and split; it is "
        "written if it does not exist (default: lists "
        "drawn with a fixed seed, which change if images are added; weights of a run use the splits.json of the run)",
    )
    parser.add_argument(
        "--patients", metavar="RULE", help="regular expression or CSV file that gives the patient of an image"
    )


def naming_options(options: argparse.Namespace) -> dict[str, str]:
    """Return the prefixes and suffixes that `add_folders` read, as arguments of :func:`lungseg.data.find_data`."""
    stated = {name: getattr(options, name) for name in ("image_prefix", "image_suffix", "mask_prefix", "mask_suffix")}
    return {name: text for name, text in stated.items() if text is not None}


def data_overrides(options: argparse.Namespace, required: bool = True) -> dict[str, Any]:
    """Turn the options of `add_data` into overrides of the config.

    Raises:
        UsageError: a data set is required, and none is named.
    """
    from lungseg.data.options import DataOptions, data_items

    return data_items(options.data, {name: getattr(options, name) for name in DataOptions.__annotations__}, required)
