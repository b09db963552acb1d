# SPDX-License-Identifier: Apache-2.0
"""`lungseg check-data`."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from lungseg.cli.console import print_result
from lungseg.cli.options import add_command, add_folders, add_output
from lungseg.utils.errors import UsageError

if TYPE_CHECKING:
    from lungseg.cli.options import Commands

_LAYOUTS = """
These layouts are recognised in DIR, or up to two levels below it:
  CXR_png/ or images/ beside masks/
  CXR_png/ or images/ beside left_right_labels/, label_maps/ or labels/, which hold
    label maps (0 background, 1 right lung, 2 left lung)
  CXR_png/ or images/ beside ManualMask/ or masks/ with one folder per lung
    (leftMask/, right lung/)
A mask has the name of its image, with or without a suffix. Any two other folders
can be given with --images and --masks; their sub-folders are read too.

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


def _again(options: argparse.Namespace, labels: str) -> str:
    """Return the command line with another `--labels`."""
    given = {"--images": options.images, "--masks": options.masks, "--mask-suffix": options.mask_suffix}
    words = ["lungseg", "check-data", *([] if options.data is None else [options.data])]
    words += [word for option, value in given.items() if value is not None for word in (option, value)]
    return f"{shlex.join(words)} {labels}"


def _check_data(options: argparse.Namespace) -> int:
    from lungseg.data import check_data, draw_contact_sheet, find_data

    if options.data is None and options.images is None:
        remedy = "give its folder, or --images DIR and --masks DIR"
        raise UsageError("no data set was named", remedy=remedy, code="data-not-named")
    if not options.output.lower().endswith(".png"):
        raise UsageError("the contact sheet is a PNG file", options.output, "let its name end in .png", code="not-png")
    suffix = {} if options.mask_suffix is None else {"mask_suffix": options.mask_suffix}
    result = check_data(find_data(options.data, options.images, options.masks, **suffix, labels=options.labels))
    print_result(result)
    missing = draw_contact_sheet(result, options.output)
    if missing is not None:
        more = f"; {missing} more cases with a problem are not on it" if missing else ""
        print_result(f"Contact sheet: {options.output}{more}")
    if result.labels_option:
        print_result(f"Try: {_again(options, result.labels_option)}")
    result.check_usable()
    return 1 if options.strict and result.problems else 0
