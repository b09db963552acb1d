# SPDX-License-Identifier: Apache-2.0
"""`lungseg train` and `lungseg evaluate`."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shlex
import sys
from types import TracebackType
from typing import TYPE_CHECKING

from lungseg.cli.console import print_result
from lungseg.cli.options import (
    add_command,
    add_data,
    add_output,
    add_overrides,
    add_trust,
    add_weights,
    at_least_one,
    data_overrides,
)

if TYPE_CHECKING:
    from lungseg.cli.options import Commands


def add_train(commands: Commands) -> None:
    """Add `lungseg train`."""
    example = 'lungseg train --data "Lung Segmentation" -o runs/mine\n  lungseg train --resume -o runs/mine'
    purpose = "train on a folder of radiographs and masks"
    train = add_command(commands, "train", purpose, example, _train)
    add_data(train)
    add_output(train, "folder of the run", "runs/lungs")
    train.add_argument("--epochs", type=at_least_one, metavar="N", help="largest number of epochs (default: 60)")
    train.add_argument(
        "--init", metavar="WEIGHTS", help="start from these weights: shipped, open, a file or the folder of a run"
    )
    train.add_argument(
        "--resume", action="store_true", help="continue the run in --output; give no other option but --trust"
    )
    add_trust(train, "the run of --resume")
    add_overrides(train, "batch_size=4")
    train.set_defaults(when_stopped=_how_to_continue)


def add_evaluate(commands: Commands) -> None:
    """Add `lungseg evaluate`."""
    example = 'lungseg evaluate --data "Lung Segmentation" --weights runs/mine -o figures'
    purpose = "measure weights on radiographs with masks"
    evaluate = add_command(commands, "evaluate", purpose, example, _evaluate)
    add_data(evaluate)
    choices = ("train", "validation", "test", "all")
    evaluate.add_argument("--split", default="test", choices=choices, help="list to measure (default: test)")
    add_weights(evaluate)
    add_trust(evaluate, "the folder of a run")
    add_output(evaluate, "folder for the figures", "evaluation")
    add_overrides(evaluate, "threshold=0.5")


def _silence_worker(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Report an uncaught exception, unless a data worker raised it after its batch was no longer needed."""
    if multiprocessing.parent_process() is None or not isinstance(error, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)


def _train(options: argparse.Namespace) -> int:
    from lungseg.model.config import parse_overrides
    from lungseg.training.train import train

    overrides = data_overrides(options, required=not options.resume)
    own = {"output_dir": "--output", "ckpt_dir": "--output", "init": "--init", "resume": "--resume"}
    if options.epochs is not None:
        overrides["epochs"] = options.epochs
        own["epochs"] = "--epochs"
    overrides |= parse_overrides(options.config, own)
    if options.own_process:
        sys.excepthook = _silence_worker
    train(options.output, overrides, options.init, options.resume, options.trust)
    return 0


def _how_to_continue(options: argparse.Namespace) -> str:
    return f"continue with: lungseg train --resume --output {shlex.quote(options.output)}"


def _evaluate(options: argparse.Namespace) -> int:
    from lungseg.evaluation.evaluate import evaluate
    from lungseg.model.config import parse_overrides
    from lungseg.report.text import format_summary

    own = {"output_dir": "--output", "split": "--split", "weights": "--weights"}
    overrides = data_overrides(options) | parse_overrides(options.config, own)
    summary = evaluate(options.output, options.split, options.weights, overrides, options.trust)
    print_result(format_summary(summary))
    print_result(f"Cases, pictures and the page to look at: {os.path.join(options.output, 'index.html')}")
    return 0
