# SPDX-License-Identifier: Apache-2.0
"""`lungseg train`."""

from __future__ import annotations

import argparse
import multiprocessing
import shlex
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

from lungseg.cli.console import is_quiet, print_result
from lungseg.cli.next_steps import next_steps
from lungseg.cli.options import (
    above_zero,
    add_command,
    add_data,
    add_device,
    add_output,
    add_overrides,
    add_trust,
    at_least_one,
    data_overrides,
    find_in_working_directory,
    whole_number,
)
from lungseg.model.networks import NETWORKS
from lungseg.training.loss_names import LOSSES
from lungseg.training.options import ITEMS, training_items

if TYPE_CHECKING:
    from lungseg.cli.options import Commands

# Items of the config that an option sets to its value.
_ITEMS = {item: f"--{name.replace('_', '-')}" for name, item in ITEMS.items()}
_RESERVED = {"output_dir": "--output", "ckpt_dir": "--output", "init": "--init", "resume": "--resume"}


def add_train(commands: Commands) -> None:
    """Add `lungseg train`."""
    example = (
        'lungseg train --data "Lung Segmentation" -o runs/mine\n'
        "  lungseg train --data mine --init shipped --lr 0.0002 --epochs 20 -o runs/fine-tuned\n"
        "  lungseg train --resume -o runs/mine\n"
        "  lungseg train --resume -o runs/mine --epochs 80"
    )
    purpose = "train on a folder of radiographs and masks"
    train = add_command(commands, "train", purpose, example, _train)
    run = add_training(train)
    add_output(run, "folder of the run", "runs/lungs")
    run.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in --output, with its settings; --epochs trains it longer, and --device, --workers and "
        "--trust can be given too",
    )
    add_trust(run, "the run of --resume")
    train.set_defaults(when_stopped=_how_to_continue)


def add_training(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options that say on which data, and how, a network is trained; return the group of the run's options."""
    add_data(parser.add_argument_group("data"))

    training = parser.add_argument_group("training")
    training.add_argument("--epochs", type=at_least_one, metavar="N", help="largest number of epochs (default: 60)")
    training.add_argument("--batch-size", type=at_least_one, metavar="N", help="radiographs in a step (default: 8)")
    training.add_argument(
        "--lr", type=above_zero, metavar="RATE", help="learning rate at the start (default: 0.001; with --init 0.0003)"
    )
    training.add_argument(
        "--loss",
        metavar="NAME",
        help=f"{', '.join(LOSSES)} (default: {LOSSES[0]}), or a class, such as monai.losses.TverskyLoss or a "
        "mypackage.MyLoss of your own; --config loss#class_weights=[1,2,2] weights background, right and left lung",
    )
    training.add_argument("--seed", type=whole_number, metavar="N", help="seed of all random numbers (default: 0)")
    training.add_argument(
        "--init", metavar="WEIGHTS", help="start from these weights: shipped, open, a file or the folder of a run"
    )

    network = parser.add_argument_group("network")
    network.add_argument(
        "--network",
        metavar="NAME",
        help=f"{', '.join(NETWORKS)} (default: {NETWORKS[0]}), or a class, such as monai.networks.nets.BasicUNet or a "
        "mypackage.MyNet of your own, which is looked for in the working directory too",
    )
    network.add_argument(
        "--image-size", type=at_least_one, metavar="PIXELS", help="shorter side of a radiograph (default: 256)"
    )

    run = parser.add_argument_group("run")
    add_device(run)
    run.add_argument(
        "--workers", type=whole_number, metavar="N", help="processes that prepare batches; 0 for none (default: 2)"
    )
    run.add_argument(
        "--amp",
        action=argparse.BooleanOptionalAction,
        help="compute in mixed precision, where the processor is faster with it (default: --amp)",
    )
    add_overrides(run, "optimizer#weight_decay=0.001", "train")
    parser.set_defaults(items=_ITEMS)
    return run


def silence_worker(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Report an uncaught exception, unless a data worker raised it after its batch was no longer needed."""
    if multiprocessing.parent_process() is None or not isinstance(error, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)


def training_overrides(options: argparse.Namespace, required: bool = True) -> dict[str, Any]:
    """Turn the options of `add_training`, except `--init`, into overrides of the config.

    Raises:
        UsageError: a data set is required, and none is named; or a value is not possible.
    """
    from lungseg.model.config import parse_overrides

    if _names_class(options):
        find_in_working_directory()
    stated = data_overrides(options, required) | training_items(vars(options))
    own = _RESERVED | {item: option for item, option in _ITEMS.items() if item in stated}
    # An option counts more than a file of --config; what the file says of a part of a network comes after --network.
    return stated | parse_overrides(options.config, own) | stated


def _train(options: argparse.Namespace) -> int:
    from lungseg.training.train import train

    overrides = training_overrides(options, required=not options.resume)
    if options.own_process:
        sys.excepthook = silence_worker
    record = train(options.output, overrides, options.init, options.resume, options.trust)
    if not is_quiet():
        print_result("\n".join(["Next:", *next_steps(options.output, record["config"])]))
    return 0


def _names_class(options: argparse.Namespace) -> bool:
    """Return whether the command line names a class by its path."""
    paths = any("." in name for name in (options.network, options.loss) if name)
    return paths or any("_target_" in text for text in options.config)


def _how_to_continue(options: argparse.Namespace) -> str:
    return f"continue with: lungseg train --resume --output {shlex.quote(options.output)}"
