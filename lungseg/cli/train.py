# SPDX-License-Identifier: Apache-2.0
"""`lungseg train` and `lungseg evaluate`."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shlex
import sys

from lungseg.cli.options import add_data, add_weights, at_least_one, data_overrides
from lungseg.utils.errors import UsageError


def _silence_worker(kind: type[BaseException], error: BaseException, trace) -> None:
    """Report an exception that nobody caught, unless it is a worker's, which was left while it handed over a batch."""
    if multiprocessing.parent_process() is None or not isinstance(error, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)


def add_train(train: argparse.ArgumentParser) -> None:
    add_data(train)
    train.add_argument("--output", default="runs/lungs", help="folder of the run (default: runs/lungs)")
    train.add_argument("--epochs", type=at_least_one, help="at most so many epochs (default: 60)")
    train.add_argument(
        "--init", metavar="WEIGHTS", help="start from these weights: shipped, montgomery, a file or a run"
    )
    train.add_argument("--resume", action="store_true", help="go on with the run in --output; give no other option")
    train.add_argument(
        "--config",
        nargs="+",
        action="extend",
        default=[],
        metavar="ID=VALUE",
        help="override items of train.json, such as batch_size=4",
    )
    train.set_defaults(run=_train)


def add_evaluate(evaluate: argparse.ArgumentParser) -> None:
    add_data(evaluate)
    evaluate.add_argument(
        "--split",
        default="test",
        choices=["train", "validation", "test", "all"],
        help="list to measure (default: test)",
    )
    add_weights(evaluate)
    evaluate.add_argument("--output", default="evaluation", help="folder for the figures (default: evaluation)")
    evaluate.add_argument(
        "--config",
        nargs="+",
        action="extend",
        default=[],
        metavar="ID=VALUE",
        help="override items of the config, such as threshold=0.5",
    )
    evaluate.set_defaults(run=_evaluate)


def _train(options: argparse.Namespace) -> int:
    from lungseg.model.config import parse_overrides
    from lungseg.training.train import train

    given = [options.data, options.images, options.masks, options.mask_suffix]
    given += [options.sets, options.splits, options.patients]
    if options.resume and any(given):
        raise UsageError("a resumed run keeps its settings", options.output, "give --resume and --output alone")
    overrides = {} if options.resume else data_overrides(options)
    if options.epochs is not None:
        overrides["epochs"] = options.epochs
    own = {"output_dir": "--output", "ckpt_dir": "--output", "init": "--init", "resume": "--resume"}
    overrides |= parse_overrides(options.config, own | ({} if options.epochs is None else {"epochs": "--epochs"}))
    if options.own_process:
        sys.excepthook = _silence_worker
    try:
        train(options.output, overrides, options.init, options.resume)
    except KeyboardInterrupt:
        again = f"lungseg train --resume --output {shlex.quote(options.output)}"
        print(f"\nlungseg: stopped; go on with: {again}", file=sys.stderr)
        return 130
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from lungseg.evaluation.evaluate import evaluate
    from lungseg.model.config import parse_overrides
    from lungseg.report.text import format_summary

    own = {"output_dir": "--output", "split": "--split", "weights": "--weights"}
    overrides = data_overrides(options) | parse_overrides(options.config, own)
    summary = evaluate(options.output, options.split, options.weights, overrides)
    print(format_summary(summary))
    print(f"Cases, pictures and the page to look at: {os.path.join(options.output, 'index.html')}")
    return 0
