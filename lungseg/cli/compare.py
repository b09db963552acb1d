# SPDX-License-Identifier: Apache-2.0
"""`lungseg compare`."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from lungseg.cli.console import Progress, print_result
from lungseg.cli.options import (
    add_command,
    add_data,
    add_device,
    add_output,
    add_overrides,
    add_split,
    add_trust,
    data_overrides,
)

if TYPE_CHECKING:
    from lungseg.cli.options import Commands


def add_compare(commands: Commands) -> None:
    """Add `lungseg compare`."""
    purpose = "compare evaluations, runs or weights on the same cases"
    example = (
        "lungseg compare figures/old figures/new -o comparison\n"
        '  lungseg compare shipped runs/mine --data "Lung Segmentation" --split validation -o comparison'
    )
    description = (
        "Runs and weights are measured first; their evaluations are kept in the folder evaluations, and a\n"
        "stopped one goes on. Only cases that all have, with the same references, are compared."
    )
    compare = add_command(commands, "compare", purpose, example, _compare, description)
    compare.add_argument(
        "things",
        nargs="+",
        metavar="THING",
        help="the folder of an evaluation, of a cross-validation or of a run; a weight file; shipped; or open",
    )
    add_data(compare)
    add_split(compare, "list to measure runs and weights on")
    add_trust(compare, "the folder of a run")
    add_device(compare)
    add_output(compare, "folder for tables, pictures and the page", "comparison")
    add_overrides(compare, "threshold=0.5", "train", "evaluate")
    compare.set_defaults(when_stopped=lambda options: "finished cases are kept; continue with the same command.")


def _compare(options: argparse.Namespace) -> int:
    from lungseg.evaluation.compare import compare
    from lungseg.model.config import parse_overrides
    from lungseg.report.comparison import format_comparison

    overrides = data_overrides(options, required=options.data is not None or options.images is not None)
    own = {"output_dir": "--output", "split": "--split", "weights": "THING", "device": "--device"}
    overrides |= parse_overrides(options.config, own)
    things, split, device = options.things, options.split, options.device
    with Progress("image") as progress:
        result = compare(options.output, things, split, overrides, options.trust, device, progress.update)
    print_result(format_comparison(result))
    print_result(f"Cases, pictures and the page to look at: {os.path.join(options.output, 'index.html')}")
    return 0
