# SPDX-License-Identifier: Apache-2.0
"""Train with the bundle's `train.json`: `lungseg train`."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import platform
import time
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from lungseg.data import check_has_lateral_labels
from lungseg.data.check import excluded_cases
from lungseg.data.splits import RUN_SPLITS
from lungseg.model.config import build_workflow, plain_errors, read_config
from lungseg.model.paths import bundle_root, config_file, weights_file
from lungseg.model.trust import check_values_only, is_computed
from lungseg.model.weights import load_weights, output_channels
from lungseg.report.curves import learning_curves
from lungseg.training.provenance import (
    Lists,
    check_no_missing_cases,
    freeze_split,
    inherit_split,
    trained_before,
    training_names,
    write_training_split,
)
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import atomic_path, usable_folder

_log = logging.getLogger(__name__)

_PACKAGES = ("lungseg", "monai", "torch", "pytorch-ignite", "numpy")
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
            `model.pt` (best weights), `last.pt` (to resume from), `history.json`, `curves.png`, `run.json` and
            TensorBoard's files.
        overrides: items of `train.json` and their values. A resumed run keeps the overrides that it was started with.
        init: weights to start from; see :func:`lungseg.model.paths.weights_file`.
        resume: continue from `last.pt`, or start again if the first epoch was not finished.
        trust: resume a run whose config has code of its own, as you would run a program of its author; without that,
            it may differ from `train.json` in values only.

    Returns:
        The content of `run.json`: versions, seed, threads, hash of the data, metrics, config.

    Raises:
        UsageError: the folder holds a run already, or no run that can be resumed, or cannot be written to; or an
            override is unknown.
        LungsegError: the data or the weights cannot be used, an older version made the run, its config would run code
            (config-runs-code), or the disk is full.
    """
    output, began = Path(output), time.time()
    stored = output / "config.json"
    if resume:
        if not stored.is_file():
            remedy = "name the folder of a run, or leave out --resume"
            raise UsageError("there is no run to resume", output, remedy, code="no-run")
        if overrides or init is not None:
            remedy = "give only --resume and --output"
            raise UsageError("a resumed run keeps its settings", output, remedy, code="resume-with-settings")
        _check_version(stored)
        if not trust:
            check_values_only(read_config([stored], {}), read_config([config_file("train")], {}), stored)
    else:
        if (output / "last.pt").exists():
            remedy = "give only --resume and --output to continue it, or another --output, with --init to start from it"
            raise UsageError("the folder holds a run already", output, remedy, code="run-exists")
        config = _new_config(output, overrides or {}, init)
        usable_folder(output)
        with atomic_path(stored) as path:
            path.write_text(json.dumps(config, indent=4))

    # The run's folder may have been moved. A run that continues does not need its initial weights; a run that was
    # stopped in its first epoch starts again.
    settings: dict[str, Any] = {"output_dir": str(output), "ckpt_dir": str(output)}
    lists = output / RUN_SPLITS
    has_lists = resume and lists.is_file()
    if has_lists:
        settings["data_source"] = freeze_split(read_config([stored], {}), lists)
    if resume and (output / "last.pt").is_file():
        settings |= {"resume": True, "init": None}
    workflow = build_workflow([stored], settings, "train#trainer")
    with plain_errors():
        trainer = workflow.parser.get_parsed_content("train#trainer")
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
        _log.info("%s", _describe(data, trainer))
        workflow.run()
    workflow.finalize()

    history = json.loads((output / "history.json").read_text())
    learning_curves(history, output / "curves.png")
    best = next((entry for entry in history if entry["epoch"] == evaluator.state.best_metric_epoch), None)
    config = json.loads(stored.read_text())
    record = _record(config, data, trainer.state, best) | {"seconds_of_this_call": round(time.time() - began, 1)}
    with atomic_path(output / "run.json") as path:
        path.write_text(json.dumps(record, indent=1))
    if best is not None:
        _log.info("Best validation IoU: %.4f in epoch %d", best["val_mean_iou"], best["epoch"])
    _log.info("Curves: %s", output / "curves.png")
    return record


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
    network = config["network_def"]
    if isinstance(network, dict) and is_computed(network.get("out_channels")):
        # The config of a run states its network in plain values.
        network["out_channels"] = output_channels(config["init"])
    _check_size(config["image_size"], config["network_def"])
    inherit_split(config)
    config["data_source"]["exclude"] = excluded_cases(config, ("train", "validation"))
    _make_absolute(config)
    return config


def _record(config: dict[str, Any], data: Lists, state: Any, best: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "seed": config["seed"],
        "threads": torch.get_num_threads(),
        "device": str(state.device),
        "data": {name: {"cases": len(cases), "sha256": data_hash(cases)} for name, cases in data.items()},
        "excluded": config["data_source"]["exclude"],
        "epochs": state.epoch,
        "best": best,
        "config": config,
    }


def _check_size(size: object, network: object) -> None:
    """Refuse a size that the network's strides do not divide; the value of an expression is not known here."""
    strides = network.get("strides") if isinstance(network, dict) else None
    if isinstance(size, str) or not isinstance(strides, list) or not all(isinstance(one, int) for one in strides):
        return
    step = math.prod(strides)
    if not (isinstance(size, int) and size > 0 and size % step == 0):
        raise UsageError(
            f"image_size={size} is not a multiple of {step}",
            remedy=f"give a multiple, such as {16 * step}",
            code="bad-image-size",
        )


def _make_absolute(config: dict[str, Any]) -> None:
    """Make the paths absolute, so that the run can be resumed from any folder."""
    source = config["data_source"]
    paths = [(config, "dataset_dir"), (config, "init"), *((source, key) for key in _PATHS)]
    if str(source["patients"]).lower().endswith(".csv"):  # else it is a regular expression
        paths.append((source, "patients"))
    for owner, key in paths:
        if owner[key] is not None and not is_computed(owner[key]):
            owner[key] = str(Path(owner[key]).absolute())


def _describe(data: Lists, trainer: Any) -> str:
    def count(cases: list[dict[str, Any]]) -> str:
        sets = Counter(case["set"] for case in cases)
        if set(sets) == {"other"}:
            return str(len(cases))
        return f"{len(cases)} ({', '.join(f'{name} {number}' for name, number in sorted(sets.items()))})"

    epochs, threads = trainer.state.max_epochs, torch.get_num_threads()
    return (
        f"Training on {count(data['train'])} radiographs, validating on {count(data['validate'])}, up to {epochs} "
        f"epoch{'s' * (epochs != 1)} on {trainer.state.device} with {threads} thread{'s' * (threads != 1)}."
    )


def data_hash(cases: list[dict[str, Any]]) -> str:
    """Return the SHA-256 over names and contents of the cases' images and references, in hex."""
    digest = hashlib.sha256()
    for case in cases:
        labels = [case["label"]] if isinstance(case["label"], str) else case["label"]
        for file in (case["image"], *labels):
            digest.update(os.fsencode(Path(file).name) + b"\0" + hashlib.sha256(Path(file).read_bytes()).digest())
    return digest.hexdigest()
