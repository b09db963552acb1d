# SPDX-License-Identifier: Apache-2.0
"""`lungseg check-data`."""

from __future__ import annotations

import argparse

from lungseg.cli.options import add_data
from lungseg.utils.errors import UsageError

LAYOUTS = """Known without options, in DIR or up to two levels below it: CXR_png/ (or images/) beside masks/, beside
label maps (0, 1 right lung, 2 left lung) in left_right_labels/, label_maps/ or labels/, or beside ManualMask/ or masks/
with a folder for each lung (leftMask/, right lung/). A mask has its image's name, with or without a suffix. Any two
folders do as --images and --masks, sub-folders included."""


def add_check(check: argparse.ArgumentParser) -> None:
    add_data(check, positional=True)
    check.add_argument("--sheet", default="contact-sheet.png", help="picture to write (default: contact-sheet.png)")
    check.add_argument("--strict", action="store_true", help="any problem is an error")
    check.set_defaults(run=_check_data)


def _check_data(options: argparse.Namespace) -> int:
    from lungseg.data import check_data, draw_contact_sheet, find_data

    if options.data is None and options.images is None:
        raise UsageError("no data set was named", remedy="give its folder, or --images DIR and --masks DIR")
    if not options.sheet.lower().endswith(".png"):
        raise UsageError("the contact sheet is a PNG", options.sheet, "let its name end in .png")
    suffix = {} if options.mask_suffix is None else {"mask_suffix": options.mask_suffix}
    result = check_data(find_data(options.data, options.images, options.masks, **suffix))
    print(result)
    missing = draw_contact_sheet(result, options.sheet)
    if missing is not None:
        more = f"; {missing} more cases with a problem are not on it" if missing else ""
        print(f"Contact sheet: {options.sheet}{more}")
    result.check_usable()
    return 1 if options.strict and result.problems else 0
