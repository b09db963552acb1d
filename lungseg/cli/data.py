# SPDX-License-Identifier: Apache-2.0
"""`lungseg check-data`."""

from __future__ import annotations

import argparse
import logging
import shlex
from typing import TYPE_CHECKING

from lungseg.cli.console import print_result
from lungseg.cli.options import add_command, add_folders, add_output, naming_options
from lungseg.utils.errors import UsageError

if TYPE_CHECKING:
    from lungseg.cli.options import Commands
    from lungseg.data.check_result import CheckResult

logger = logging.getLogger(__name__)

_LAYOUTS = """
These layouts are recognised in DIR, or up to six levels below it; small and
capital letters in the names of folders are the same:
  images/ (or CXR_png/, img/) beside masks/ (or lung masks/), or images directly
    in the folder above masks/
  images/ beside labels/ (or label_maps/, left_right_labels/), which hold label
    maps (0 background, 1 right lung, 2 left lung)
  nnU-Net: imagesTr/ beside labelsTr/; dataset.json states the labels
  one folder per lung (leftMask/, right lung/) in ManualMask/ or masks/, also in
    fold1/ and fold2/, with heart/ or without: Montgomery, JSRT with SCR masks
  images and masks in one folder (img_1.png and mask_1.png, or 1.png and 1_mask.png)
Folders of classes, and Train, Val and Test, are taken together. A mask has the
name of its image, but for prefixes and suffixes. Any two other folders can be
given with --images and --masks; their sub-folders are read too.

Masks have one value besides 0, whatever it is, or are in the alpha channel; label
maps have 1, 2 and perhaps 3 for the heart. --labels says what other values, or
colours, stand for.

--masks also takes annotations, as a file or a folder of files:
  CSV with run lengths: columns such as Left Lung and Right Lung (CheXmask),
    or EncodedPixels (Kaggle, SIIM), with the name of the image
  COCO JSON with polygons or run lengths
  LabelMe JSON, a file for each image
The names of columns, categories and shapes say which lung it is; otherwise give
them, as in --labels right=NAME,left=NAME. They may include the lung behind the heart."""


def add_check(commands: Commands) -> None:
    """Add `lungseg check-data`."""
    example = 'lungseg check-data "Lung Segmentation" -o contact-sheet.png'
    purpose = "pair images with masks, and list every problem"
    check = add_command(commands, "check-data", purpose, example, _check_data, _LAYOUTS)
    check.add_argument("data", nargs="?", metavar="DIR", help="folder of the data set")
    add_folders(check)
    add_output(check, "contact sheet to write, a PNG file", "contact-sheet.png")
    check.add_argument("--strict", action="store_true", help="end with exit status 1 if there is any problem")
    compared = check.add_mutually_exclusive_group()
    compared.add_argument(
        "--no-model", action="store_true", help="do not compare the masks with the lungs that the network finds"
    )
    compared.add_argument(
        "--all-masks", action="store_true", help="compare all masks with them, not only a sample; takes minutes"
    )


def _check_data(options: argparse.Namespace) -> int:
    from lungseg.data import check_data, draw_contact_sheet, find_data

    if options.data is None and options.images is None:
        remedy = "give its folder, or --images DIR and --masks DIR"
        raise UsageError("no data set was named", remedy=remedy, code="data-not-named")
    if not options.output.lower().endswith(".png"):
        raise UsageError("the contact sheet is a PNG file", options.output, "let its name end in .png", code="not-png")
    found = find_data(options.data, options.images, options.masks, labels=options.labels, **naming_options(options))
    result = check_data(found)
    print_result(result)
    missing = draw_contact_sheet(result, options.output)
    if missing is not None:
        more = f"; {missing} more cases with a problem are not on it" if missing else ""
        print_result(f"Contact sheet: {options.output}{more}")
    # `check_usable` raises its error after these lines, which can be copied and run.
    if result.labels_option:
        print_result(f"Try:\n  {_again(options, result.labels_option)}")
    if result.naming_option:
        print_result(f"Try:\n  {_again(options, result.naming_option)}")
    misplaced = False if options.no_model else _report_masks(result, options.all_masks)
    result.check_usable()
    return 1 if options.strict and (result.problems or misplaced) else 0


def _again(options: argparse.Namespace, added: str) -> str:
    """Return the command line of `options` with more options, ready to be run; new `--labels` replace others."""
    stated = {"images": options.images, "masks": options.masks, "labels": options.labels} | naming_options(options)
    if added.startswith("--labels"):
        stated["labels"] = None
    words = ["lungseg", "check-data", *([] if options.data is None else [options.data])]
    for name, text in stated.items():
        option = f"--{name.replace('_', '-')}"
        words += [] if text is None else [f"{option}={text}"] if text.startswith("-") else [option, text]
    return f"{shlex.join(words)} {added}"


def _report_masks(result: CheckResult, all_masks: bool) -> bool:
    """Compare masks with the lungs that the shipped network finds; return whether some do not lie on them."""
    from lungseg.evaluation.check_masks import SAMPLE, check_masks, comparable

    if not comparable(result):
        return False
    from lungseg.inference.api import load

    compared = check_masks(result, load().predict, None if all_masks else SAMPLE)
    print_result(compared)
    for finding in compared.findings:
        logger.warning("%s", finding)
    return bool(compared.findings)
