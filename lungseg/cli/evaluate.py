# SPDX-License-Identifier: Apache-2.0
"""`lungseg evaluate`."""

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
    add_weights,
    data_overrides,
)

if TYPE_CHECKING:
    from lungseg.cli.options import Commands


def add_evaluate(commands: Commands) -> None:
    """Add `lungseg evaluate`."""
    example = 'lungseg evaluate --data "Lung Segmentation" --weights runs/mine -o figures'
    purpose = "measure weights on radiographs with masks"
    evaluate = add_command(commands, "evaluate", purpose, example, _evaluate)
    add_data(evaluate)
    add_split(evaluate, "list to measure")
    add_weights(evaluate)
    add_trust(evaluate, "the folder of a run")
    add_device(evaluate)
    add_output(evaluate, "folder for the figures", "evaluation")
    add_overrides(evaluate, "threshold=0.5", "train", "evaluate")
    evaluate.set_defaults(when_stopped=lambda options: "finished cases are kept; continue with the same command.")


def _evaluate(options: argparse.Namespace) -> int:
    from lungseg.evaluation.evaluate import evaluate
    from lungseg.model.config import parse_overrides
    from lungseg.report.text import format_summary

    own = {"output_dir": "--output", "split": "--split", "weights": "--weights", "device": "--device"}
    overrides = data_overrides(options) | parse_overrides(options.config, own)
    with Progress("image") as progress:
        summary = evaluate(
            options.output,
            options.split,
            options.weights,
            overrides,
            options.trust,
            device=options.device,
            on_case=progress.update,
        )
    print_result(format_summary(summary))
    print_result(f"Cases, pictures and the page to look at: {os.path.join(options.output, 'index.html')}")
    return 0
