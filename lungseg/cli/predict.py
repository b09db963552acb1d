# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from typing import TYPE_CHECKING

from lungseg.cli.console import Progress, print_result
from lungseg.cli.options import add_command, add_device, add_output, add_trust, add_weights, at_least_one, share
from lungseg.inference.choices import CROP_MARGIN, CTR_CHOICES, EXTENTS
from lungseg.inference.kinds import DEFAULT_KINDS, KINDS
from lungseg.model.backends import PRECISIONS
from lungseg.utils.text import escape_control

if TYPE_CHECKING:
    from lungseg.cli.options import Commands
    from lungseg.report.table import Row

logger = logging.getLogger(__name__)


def add_predict(commands: Commands) -> None:
    """Add `lungseg predict`."""
    example = "lungseg predict radiographs/ one.dcm -o out --save nifti,dicom-seg"
    predict = add_command(commands, "predict", "segment radiographs", example, _predict)
    formats = "PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000, DICOM, NIfTI"
    predict.add_argument("inputs", nargs="+", metavar="INPUT", help=f"files and folders: {formats}")
    add_output(predict, "folder for the reports and for one folder of each kind of result")
    add_weights(predict)
    add_trust(predict, "the folder of a run")
    add_device(predict)
    predict.add_argument(
        "--precision",
        default="fp32",
        choices=PRECISIONS,
        help="number format of the networks (default: fp32); bf16 is faster, and may move a border by a pixel",
    )
    predict.add_argument(
        "--batch-size", type=at_least_one, metavar="N", help="images per batch in each worker (default: 1; 8 on a GPU)"
    )
    predict.add_argument(
        "--workers",
        type=at_least_one,
        metavar="N",
        help="images processed at the same time (default: number of cores plus one, at most 8)",
    )
    predict.add_argument("--overwrite", action="store_true", help="segment again, also where an earlier run finished")
    predict.add_argument(
        "--strict",
        action="store_true",
        help="treat radiographs whose result is doubted as failed and write no output for them",
    )
    predict.add_argument(
        "--extent",
        default="visible",
        choices=EXTENTS,
        help="of the lungs in masks, label maps, overlays, NIfTI and DICOM SEG: visible (default), or full, with the "
        "part behind the heart; the report has both",
    )
    predict.add_argument(
        "--with-heart",
        action="store_true",
        help="show the heart too: 3 in label maps and NIfTI, a segment in DICOM SEG, an outline in overlays",
    )
    predict.add_argument(
        "--ctr",
        default="auto",
        choices=CTR_CHOICES,
        help="cardiothoracic ratio: auto (default) withholds it for AP, supine, tilted and doubtful radiographs; "
        "always gives it with a mark; never",
    )
    predict.add_argument(
        "--private", action="store_true", help="let other users of this machine read neither the folder nor its files"
    )
    predict.add_argument(
        "--save",
        action="extend",
        type=lambda text: text.split(","),
        default=[],
        metavar="KIND[,KIND…]",
        help=f"also write {', '.join(kind for kind in KINDS if kind not in DEFAULT_KINDS)}",
    )
    predict.add_argument(
        "--crop-margin",
        type=share,
        default=CROP_MARGIN,
        metavar="SHARE",
        help="for --save crop: how much is added around the lungs, as a share of their width on the left and on the "
        f"right, and of their height above and below (default: {CROP_MARGIN})",
    )
    for kind in DEFAULT_KINDS:
        help_text = f"do not write {kind}"
        predict.add_argument(f"--no-{kind}", action="append_const", dest="leave_out", const=kind, help=help_text)
    predict.set_defaults(leave_out=[])


def _predict(options: argparse.Namespace) -> int:
    from lungseg.io.reader_process import start_reader

    # It is ready when PyTorch is imported here.
    start_reader()
    if options.own_process:
        from lungseg.utils.imports import import_monai_quickly

        import_monai_quickly()

    from lungseg.inference.predict import predict
    from lungseg.utils.distributed import launched_rank

    # One of the processes that torchrun starts speaks for all; each reports the files that it could not segment.
    first = launched_rank() == 0
    if not first:
        logging.getLogger("lungseg").setLevel(logging.WARNING)
    kinds = [kind for kind in (*DEFAULT_KINDS, *options.save) if kind not in options.leave_out]
    look = "look at its overlay" if "overlays" in kinds else "look at it"
    with Progress("image") as progress:

        def report(index: int, total: int, row: Row) -> None:
            progress.update(index, total)
            if row.status == "failed":
                logger.warning("failed: %s", row.reason)
            elif row.status == "flagged":
                logger.warning("flagged: %s: %s; %s.", escape_control(row.file), row.reason, look)
            else:
                logger.debug("ok: %s", escape_control(row.file))

        rows = predict(
            options.inputs,
            options.output,
            weights=options.weights,
            device=options.device,
            kinds=kinds,
            precision=options.precision,
            batch_size=options.batch_size,
            workers=options.workers,
            processes=None if options.own_process else False,
            overwrite=options.overwrite,
            strict=options.strict,
            extent=options.extent,
            heart=options.with_heart,
            ctr=options.ctr,
            crop_margin=options.crop_margin,
            private=options.private,
            trust=options.trust,
            on_result=report,
            command=sys.argv,
        )
    count = {status: sum(row.status == status for row in rows) for status in ("ok", "flagged", "failed")}
    counted = ", ".join(f"{number} {status}" for status, number in count.items() if number)
    print_result(f"{counted}: see {os.path.join(options.output, 'report.csv')}")
    return 1 if first and count["failed"] else 0
