# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict`."""

from __future__ import annotations

import argparse
import os
import sys

from lungseg.cli.options import add_weights, at_least_one
from lungseg.inference.outputs import DEFAULT_KINDS, KINDS
from lungseg.model.backends import PRECISIONS
from lungseg.utils.text import escape_control


def add_predict(predict: argparse.ArgumentParser) -> None:
    predict.add_argument("inputs", nargs="+", metavar="INPUT", help="files and folders: PNG, JPEG, TIFF, DICOM, NIfTI")
    predict.add_argument(
        "-o", "--output", required=True, help="folder for the reports, and for a folder of each kind of output"
    )
    add_weights(predict)
    predict.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (default: auto)")
    predict.add_argument(
        "--precision",
        default="fp32",
        choices=PRECISIONS,
        help="of the networks (default: fp32); bf16 is faster, and may move a border by a pixel",
    )
    predict.add_argument(
        "--batch-size", type=at_least_one, metavar="N", help="files per worker and turn (default: 1, on a GPU 8)"
    )
    predict.add_argument(
        "--workers",
        type=at_least_one,
        metavar="N",
        help="files at the same time (default: one more than cores, up to 8)",
    )
    predict.add_argument("--overwrite", action="store_true", help="segment again what an earlier run finished")
    predict.add_argument(
        "--strict", action="store_true", help="a flagged radiograph has failed: nothing is written of it"
    )
    predict.add_argument(
        "--save",
        action="extend",
        type=lambda text: text.split(","),
        default=[],
        metavar="KIND[,KIND…]",
        help=f"write these too: {', '.join(kind for kind in KINDS if kind not in DEFAULT_KINDS)}",
    )
    for kind in DEFAULT_KINDS:
        predict.add_argument(f"--no-{kind}", action="append_const", dest="leave_out", const=kind, help=f"no {kind}")
    predict.set_defaults(run=_predict, leave_out=[])


def _predict(options: argparse.Namespace) -> int:
    if options.own_process:
        from lungseg.utils.imports import import_monai_quickly

        import_monai_quickly()

    from tqdm import tqdm

    from lungseg.inference.predict import predict
    from lungseg.utils.distributed import launched_rank

    kinds = [kind for kind in (*DEFAULT_KINDS, *options.save) if kind not in options.leave_out]
    look = "look at its overlay" if "overlays" in kinds else "look at it"
    # Of the processes that torchrun starts, one speaks for all.
    first = launched_rank() == 0
    bar = tqdm(unit="image", disable=None if first else True)

    def done(index: int, total: int, row) -> None:
        bar.total = total
        bar.update()
        if row.reason:
            hint = f"; {look}" if row.status == "flagged" else ""
            text = row.reason if row.status == "failed" else f"{escape_control(row.file)}: {row.reason}{hint}."
            tqdm.write(f"lungseg: {row.status}: {text}", file=sys.stderr)

    with bar:
        rows = predict(
            options.inputs,
            options.output,
            options.weights,
            options.device,
            done,
            tqdm.write if first else lambda line: None,
            kinds,
            precision=options.precision,
            batch_size=options.batch_size,
            workers=options.workers,
            processes=None if options.own_process else False,
            overwrite=options.overwrite,
            strict=options.strict,
        )
    if not first:
        return 0
    count = {status: sum(row.status == status for row in rows) for status in ("ok", "flagged", "failed")}
    told = ", ".join(f"{number} {status}" for status, number in count.items() if number)
    print(f"{told}: see {os.path.join(options.output, 'report.csv')}")
    return 1 if count["failed"] else 0
