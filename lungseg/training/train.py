# SPDX-License-Identifier: Apache-2.0
"""Train with the bundle's `train.json`: `lungseg train`."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Mapping
from copy import deepcopy
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.bundle import ConfigParser

from lungseg.data import check_has_lateral_labels
from lungseg.data.check import excluded_cases
from lungseg.data.splits import RUN_SPLITS
from lungseg.model.components import check_components
from lungseg.model.config import build_item, build_workflow, plain_errors, read_config
from lungseg.model.networks import check_network
from lungseg.model.paths import bundle_root, config_file, weights_file
from lungseg.model.trust import check_values_only, foreign_items, is_computed
from lungseg.model.weights import load_weights, output_channels
from lungseg.report.curves import learning_curves
from lungseg.training.log import RunLog
from lungseg.training.loss_names import check_loss
from lungseg.training.options import ITEMS
from lungseg.training.provenance import (
    Lists,
    check_no_missing_cases,
    freeze_split,
    inherit_split,
    trained_before,
    training_names,
    write_training_split,
)
from lungseg.training.trial import check_device, check_first_step, first_step_errors
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import atomic_path, usable_folder
from lungseg.utils.text import shorten_list

_log = logging.getLogger(__name__)

_PACKAGES = ("lungseg", "monai", "torch", "pytorch-ignite", "numpy")
# Items that are built, and tried, before the data is read, which takes minutes.
_BEFORE_THE_DATA = ("network", "loss", "train#postprocessing", "optimizer", "lr_scheduler")
# Items that a resumed run takes: how long it trains, and what its weights do not depend on.
_LENGTH = ("epochs", "patience")
_FREE = ("device", "num_workers", "cache", "cache_memory", "cache_dir", "progress", "mlflow", "compiled")
_PATHS = ("images", "masks", "splits_file", "run_splits")


def train(
    output: str | PathLike[str],
    overrides: Mapping[str, Any] | None = None,
    init: str | PathLike[str] | None = None,
    resume: bool = False,
    trust: bool = False,
) -> dict[str, Any]:
    """Train the bundle's network, or resume a run that was stopped.

    Args:
        output: folder of the run, for `config.json`, `splits.json` (the cases for training, validation and test),
            `model.pt` (best weights), `last.pt` (to resume from), `history.json` (an entry for each epoch, 0 for the
            initial weights), `curves.png`, `train.log`, `run.json` and TensorBoard's files.
        overrides: items of `train.json` and their values. A resumed run keeps those that it was started with; it takes
            `epochs`, `patience`, and items on which its weights do not depend, such as `device`.
        init: weights to start from; see :func:`lungseg.model.paths.weights_file`.
        resume: continue from `last.pt`, or start again if the first epoch was not finished.
        trust: resume a run whose config has code of its own, as you would run a program of its author; without that,
            it may differ from `train.json` in values only.

    Returns:
        The content of `run.json`: versions, seed, threads, hash of the data, metrics, config, and the `changes` of
        :class:`lungseg.training.checkpoint.RunCheckpoint` that resumed it.

    Raises:
        UsageError: the folder holds a run already, or no run that can be resumed, or cannot be written to; or an
            override is unknown, or a resumed run does not take it.
        LungsegError: the data or the weights cannot be used, an older version made the run, its config would run code
            (config-runs-code), or the disk is full.
    """
    output, began = Path(output), time.time()
    stored = output / "config.json"
    if resume:
        if not stored.is_file():
            remedy = "name the folder of a run, or leave out --resume"
            raise UsageError("there is no run to resume", output, remedy, code="no-run")
        _check_goes_on(output, overrides or {}, init)
        _check_version(stored)
        if not trust:
            check_values_only(read_config([stored], {}), read_config([config_file("train")], {}), stored)
        config = read_config([stored], overrides or {})
        _make_absolute(config)
        check_device(config["device"])
    else:
        if (output / "last.pt").exists():
            remedy = "give --resume and --output to continue it, or another --output, with --init to start from it"
            raise UsageError("the folder holds a run already", output, remedy, code="run-exists")
        config = _new_config(output, overrides or {}, init)
        _report_own_code(config)
        usable_folder(output)
        _write_config(config, stored)

    # The run's folder may have been moved. A run that continues does not need its initial weights; a run that was
    # stopped in its first epoch starts again.
    settings: dict[str, Any] = {"output_dir": str(output), "ckpt_dir": str(output)}
    if resume:
        settings |= overrides or {}
    lists = output / RUN_SPLITS
    has_lists = resume and lists.is_file()
    if has_lists:
        settings["data_source"] = freeze_split(read_config([stored], {}), lists)
    if resume and (output / "last.pt").is_file():
        settings |= {"resume": True, "init": None, "resume_changes": list(_LENGTH)}
    workflow = build_workflow([stored], settings, *_BEFORE_THE_DATA)
    check_first_step(workflow.parser)
    trainer = build_item(workflow, "train#trainer")
    if resume and overrides:
        # The handler that resumes the run comes before, and may refuse the new settings.
        trainer.add_event_handler(Events.STARTED, lambda: _write_config(config, stored))
    with plain_errors():
        data = {name: workflow.parser.get_parsed_content(f"{name}#dataset#data") for name in ("train", "validate")}
        evaluator = workflow.parser.get_parsed_content("validate#evaluator")
        interval = workflow.parser.get_parsed_content("val_interval")
        if interval > trainer.state.max_epochs:
            what = (
                f"val_interval={interval} is more than epochs={trainer.state.max_epochs}: no epoch would be validated"
            )
            raise UsageError(what, remedy="lower val_interval, or give more epochs", code="never-validated")
        check_has_lateral_labels(data["validate"])
        if has_lists:
            check_no_missing_cases(lists, data)
        before = trained_before(lists) if has_lists else training_names(workflow.parser.get_parsed_content("init"))
        write_training_split(lists, data, workflow.parser.get_parsed_content("data_source"), before)
        with first_step_errors(trainer):
            workflow.run()
    workflow.finalize()

    history = json.loads((output / "history.json").read_text())
    learning_curves(history, output / "curves.png", evaluator.state.best_metric_epoch)
    best = next((entry for entry in history if entry["epoch"] == evaluator.state.best_metric_epoch), None)
    config = json.loads(stored.read_text())
    record = _record(config, data, trainer.state, best) | {"seconds_of_this_call": round(time.time() - began, 1)}
    with atomic_path(output / "run.json") as path:
        path.write_text(json.dumps(record, indent=1))
    RunLog(output, workflow.parser.get_parsed_content("progress")).say(f"Curves: {output / 'curves.png'}")
    return record


def _check_goes_on(output: Path, overrides: Mapping[str, Any], init: str | PathLike[str] | None) -> None:
    """Refuse what would make a resumed run another one."""
    others = [name for name in overrides if name not in (*_LENGTH, *_FREE)] + ["init"] * (init is not None)
    if not others:
        return
    what = f"a resumed run keeps its settings, and so its {shorten_list(others, 3)}"
    remedy = (
        "with --resume and --output give only --epochs, --device, --workers, --trust, or --config for "
        f"{', '.join(name for name in (*_LENGTH, *_FREE) if name not in ITEMS.values())}; other settings take a new "
        f"run, which --init {output} starts from the weights of this one"
    )
    raise UsageError(what, output, remedy, code="resume-with-settings")


def _write_config(config: Mapping[str, Any], file: Path) -> None:
    with atomic_path(file) as path:
        path.write_text(json.dumps(config, indent=4))


def _check_version(stored: Path) -> None:
    """Refuse to resume a run whose config has not the items of this version."""
    if "ckpt_dir" not in read_config([stored], {}):
        raise LungsegError(
            "the run was made by an older version of lungseg",
            stored.parent,
            "start a new run with --init, which takes its weights",
            code="run-of-older-version",
        )


def _new_config(output: Path, overrides: Mapping[str, Any], init: str | PathLike[str] | None) -> dict[str, Any]:
    settings = dict(overrides, bundle_root=str(bundle_root()), output_dir=str(output), ckpt_dir=str(output))
    if init is not None:
        settings["init"] = str(weights_file(init))
        load_weights(settings["init"])
    config = read_config([config_file("train")], settings)
    check_components(config)
    check_device(config["device"])
    check_loss(config["loss"])
    # The config of a run states its values plainly: a resumed run has no initial weights.
    if is_computed(config["learning_rate"]):
        config["learning_rate"] = ConfigParser(deepcopy(config)).get_parsed_content("learning_rate")
    network = config["network_def"]
    if isinstance(network, dict):
        if is_computed(network.get("out_channels")):
            network["out_channels"] = output_channels(config["init"])
        check_network(network, config["image_size"])
    inherit_split(config)
    config["data_source"]["exclude"] = excluded_cases(config, ("train", "validation"))
    _make_absolute(config)
    return config


def _report_own_code(config: dict[str, Any]) -> None:
    """Log which commands will need --trust with this run, if its config has code that is not this package's."""
    items = foreign_items(config, read_config([config_file("train")], {}))
    if items:
        doors = "evaluate, predict, export and " if any(item.startswith("network_def") for item in items) else ""
        names = shorten_list(items, 3)
        _log.info("Code of your own is part of this run (%s): %strain --resume will need --trust.", names, doors)


def _record(config: dict[str, Any], data: Lists, state: Any, best: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "seed": config["seed"],
        "threads": torch.get_num_threads(),
        "device": str(state.device),
        "data": {name: {"cases": len(cases), "sha256": data_hash(cases)} for name, cases in data.items()},
        "excluded": config["data_source"]["exclude"],
        "epochs": state.epoch,
        "changes": state.changes,
        "best": best,
        "config": config,
    }


def _make_absolute(config: dict[str, Any]) -> None:
    """Make the paths absolute, so that the run can be resumed from any folder.

    Raises:
        UsageError: an item that is a path is a number, or something else that is not a text.
    """
    source = config["data_source"]
    paths = [*((config, key) for key in ("dataset_dir", "init", "cache_dir")), *((source, key) for key in _PATHS)]
    if str(source["patients"]).lower().endswith(".csv"):  # else it is a regular expression
        paths.append((source, "patients"))
    for owner, key in paths:
        value = owner[key]
        if value is None or is_computed(value):
            continue
        if not isinstance(value, str | PathLike):
            remedy = f"give a text, such as ./{value}"
            raise UsageError(f"the item {key!r} cannot be {value!r}", remedy=remedy, code="bad-config-value")
        owner[key] = str(Path(value).absolute())


def data_hash(cases: list[dict[str, Any]]) -> str:
    """Return the SHA-256 over names and contents of the cases' images and references, in hex."""
    digest = hashlib.sha256()
    for case in cases:
        labels = [case["label"]] if isinstance(case["label"], str) else case["label"]
        for file in (case["image"], *labels):
            digest.update(os.fsencode(Path(file).name) + b"\0" + hashlib.sha256(Path(file).read_bytes()).digest())
    return digest.hexdigest()
