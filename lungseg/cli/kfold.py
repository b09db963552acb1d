# SPDX-License-Identifier: Apache-2.0
"""`lungseg kfold`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from lungseg.cli.console import print_result
from lungseg.cli.options import add_command, add_output, add_trust, at_least_one
from lungseg.cli.train import add_training, silence_worker, training_overrides

if TYPE_CHECKING:
    from lungseg.cli.options import Commands


def add_kfold(commands: Commands) -> None:
    """Add `lungseg kfold`."""
    purpose = "cross-validate: train and measure fold by fold, so that each image is held out once"
    example = 'lungseg kfold --folds 5 --data "Lung Segmentation" -o runs/five'
    description = (
        "The images of a patient stay in one fold; state the patients with --patients. Each fold sets an eighth\n"
        "of its other patients aside, to choose the best epoch. All options of `lungseg train` hold for each fold.\n"
        "Stopped or killed, the same command goes on where it was."
    )
    kfold = add_command(commands, "kfold", purpose, example, _kfold, description)
    kfold.add_argument("--folds", type=at_least_one, default=5, metavar="N", help="number of folds (default: 5)")
    run = add_training(kfold)
    add_output(run, "folder of the folds' runs, tables and page", "runs/kfold")
    add_trust(run, "the config names")
    kfold.set_defaults(when_stopped=lambda options: "finished folds and epochs are kept; the same command goes on.")


def _kfold(options: argparse.Namespace) -> int:
    from lungseg.evaluation.kfold import kfold
    from lungseg.report.kfold import format_kfold

    overrides = training_overrides(options)
    if options.own_process:
        sys.excepthook = silence_worker
    result = kfold(options.output, options.folds, overrides, options.init, options.trust)
    print_result(format_kfold(result))
    for warning in result["warnings"]:
        print(f"lungseg: {warning}", file=sys.stderr)
    print_result(f"Folds, tables and the page to look at: {os.path.join(options.output, 'index.html')}")
    return 0
