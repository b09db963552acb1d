# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict`."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lungseg.cli.console import Progress, print_result
from lungseg.cli.options import add_command, add_device, add_output, add_trust, add_weights, at_least_one, share
from lungseg.inference.choices import CROP_MARGIN, CTR_CHOICES, EXTENTS
from lungseg.inference.kinds import DEFAULT_KINDS, KINDS
from lungseg.model.backends import PRECISIONS
from lungseg.utils.errors import UsageError
from lungseg.utils.text import escape_control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from lungseg.cli.options import Commands
    from lungseg.report.reasons import Judged

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
    predict.add_argument(
        "--part",
        metavar="K/N",
        help="segment only part K of N, so that N machines share the work, such as 3/16; slurm takes both numbers from "
        "the task of a job array; then lungseg merge writes the report",
    )
    predict.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="segment on a cluster of Ray, or on one that this command starts here; inputs and output may lie in S3 "
        "(s3://bucket/prefix), and inputs in Parquet files; rows and label maps are written as Parquet files, and "
        "other files only with --save",
    )
    for column, purpose in (("image", "the content of files"), ("name", "the names of files")):
        predict.add_argument(
            f"--{column}-column", metavar="NAME", help=f"with --ray: the column of Parquet files that holds {purpose}"
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
    if options.ray is not None:
        return _predict_on_ray(options)
    if column := options.image_column or options.name_column:
        remedy = "add --ray"
        raise UsageError(
            f"columns of Parquet files, such as {column}, are read by Ray", remedy=remedy, code="only-with-ray"
        )
    from lungseg.io.reader_process import start_readers

    # They are ready when PyTorch is imported here.
    start_readers(options.inputs)
    if options.own_process:
        from lungseg.utils.imports import import_monai_quickly

        import_monai_quickly()

    from lungseg.inference.parts import parse_part
    from lungseg.inference.predict import predict
    from lungseg.report.reasons import left_out

    part = None if options.part is None else parse_part(options.part)
    kinds = [kind for kind in (*DEFAULT_KINDS, *options.save) if kind not in options.leave_out]
    page, table = (os.path.join(options.output, name) for name in ("report.html", "report.csv"))
    with _reported(table, "overlays" in kinds) as report:
        rows = predict(
            options.inputs,
            options.output,
            kinds=kinds,
            processes=None if options.own_process else False,
            part=part,
            on_result=report,
            **_settings(options),
        )
    for clause in left_out(rows):
        logger.warning("%s.", clause)
    if part:
        where = f"when all parts are done: lungseg merge {shlex.quote(options.output)}"
        print_counts(rows, where, str(part))
    else:
        print_counts(rows, f"open {page} (table: {table})")
    return 1 if any(row.status == "failed" for row in rows) else 0


def _predict_on_ray(options: argparse.Namespace) -> int:
    if options.own_process:
        from lungseg.utils.imports import import_monai_quickly

        import_monai_quickly()
    from lungseg.inference.ray.run import predict_on_ray
    from lungseg.inference.ray.target import MOST_REPORTED
    from lungseg.report.reasons import left_out

    if options.part is not None:
        what = "--part and --ray are two ways to share the work"
        raise UsageError(what, remedy="leave one of them out", code="not-with-ray")
    kinds = [kind for kind in options.save if kind not in options.leave_out]
    target = options.output.rstrip("/")
    with _reported(f"{target}/report.csv", "overlays" in kinds) as report:
        endings = predict_on_ray(
            options.inputs,
            options.output,
            options.ray,
            kinds=kinds,
            image_column=options.image_column,
            name_column=options.name_column,
            on_result=report,
            **_settings(options),
        )
    for clause in left_out(endings):
        logger.warning("%s.", clause)
    page = "" if len(endings) > MOST_REPORTED else f"open {target}/report.html, or "
    print_counts(endings, f"{page}read {target}/rows/*.parquet")
    return 1 if any(ending.status == "failed" for ending in endings) else 0


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that a run with Ray and one without have in common."""
    names = ["weights", "device", "precision", "batch_size", "workers", "overwrite", "strict", "extent", "ctr"]
    names += ["crop_margin", "private", "trust"]
    return {name: getattr(options, name) for name in names} | {"heart": options.with_heart, "command": sys.argv}


@contextmanager
def _reported(table: str, overlays: bool) -> Iterator[Callable[[int, int, Judged], None]]:
    """Show how far the run is, and each file that failed or is doubted, in a few lines of a kind."""
    from lungseg.cli.repeats import few_of_a_kind
    from lungseg.report.reasons import split_reason

    look = "look at its overlay" if overlays else "look at it"
    with few_of_a_kind(table), Progress("image") as progress:

        def report(index: int, total: int, row: Judged) -> None:
            progress.update(index, total)
            if row.status == "failed":
                logger.warning("failed: %s", row.reason, extra={"kind": f"failed ({row.code})"})
            elif row.status == "flagged":
                reason, _ = split_reason(row.reason)
                # The first doubt is the gravest one.
                kind = {"kind": f"flagged ({row.doubts.partition(' ')[0]})"}
                logger.warning("flagged: %s: %s; %s.", escape_control(row.file), reason, look, extra=kind)
            else:
                logger.debug("ok: %s", escape_control(row.file))

        yield report


def print_counts(rows: Sequence[Judged], where: str, what: str = "") -> None:
    """Print how many files have each status, doubt and code of failure, and in the last line `where` to look."""
    count = Counter(row.status for row in rows)
    doubts = Counter(doubt for row in rows if row.status == "flagged" for doubt in row.doubts.split())
    codes = Counter(row.code for row in rows if row.status == "failed")
    for status, kinds in (("flagged", doubts), ("failed", codes)):
        if count[status] > 1:
            print_result(f"{status}: {', '.join(f'{number} {kind}' for kind, number in kinds.most_common())}")
    counted = ", ".join(f"{count[status]} {status}" for status in ("ok", "flagged", "failed") if count[status])
    counted = counted or "nothing is done"
    print_result(f"{f'{what}, {counted}' if what else counted}: {where}")
