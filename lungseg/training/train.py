# SPDX-License-Identifier: Apache-2.0
"""`lungseg train`: the bundle's train config with a friendly face."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from os import PathLike
from pathlib import Path

import torch

from lungseg.data import check_has_lateral_labels
from lungseg.data.check import excluded_cases
from lungseg.data.splits import RUN_SPLITS
from lungseg.model.config import build_workflow, is_computed, plain_errors, read_config
from lungseg.model.paths import bundle_root, config_file, weights_file
from lungseg.model.weights import load_weights
from lungseg.report.curves import learning_curves
from lungseg.training.provenance import (
    check_no_missing_cases,
    freeze_split,
    inherit_split,
    trained_before,
    training_names,
    write_training_split,
)
from lungseg.utils.errors import UsageError
from lungseg.utils.files import atomic_path, usable_folder

_PACKAGES = ("lungseg", "monai", "torch", "pytorch-ignite", "numpy")
_PATHS = ("images", "masks", "splits_file", "run_splits")


def train(
    output: str | PathLike,
    overrides: dict | None = None,
    init: str | PathLike | None = None,
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> dict:
    """Train the bundle's network, or go on with a run that was stopped.

    Args:
        output: folder of the run; it gets `config.json`, `splits.json` (the cases that train, validate and are left
            to test), `model.pt` (best weights), `last.pt` (to resume from), `history.json`, `curves.png`, `run.json`
            and TensorBoard's files.
        overrides: items of `train.json` and their values. A resumed run keeps those that it was started with.
        init: weights to start from; see :func:`lungseg.model.paths.weights_file`.
        resume: go on from `last.pt`, or from the beginning if the first epoch was not over.
        say: takes each line that is told to the user.

    Returns:
        What `run.json` holds: versions, seed, threads, hash of the data, metrics, config.

    Raises:
        UsageError: the folder holds a run already, or none that can be resumed, or cannot be written to; or an
            override is unknown.
        LungsegError: the data or the weights cannot be used, or the disk is full.
    """
    output, began = Path(output), time.time()
    stored = output / "config.json"
    if resume:
        if not stored.is_file():
            raise UsageError("there is no run to resume", output, "name the folder of a run, or leave out --resume")
        if overrides or init is not None:
            raise UsageError("a resumed run keeps its settings", output, "give --resume and --output alone")
    else:
        if (output / "last.pt").exists():
            remedy = "give --resume and --output alone to go on, or another --output, and --init to start from this run"
            raise UsageError("the folder holds a run already", output, remedy)
        config = _new_config(output, overrides or {}, init, say)
        usable_folder(output)
        with atomic_path(stored) as path:
            path.write_text(json.dumps(config, indent=4))

    # A run may have been moved; one that goes on needs its first weights no more; one that was stopped before its
    # first epoch was over begins again.
    settings, lists = {"output_dir": str(output)}, output / RUN_SPLITS
    has_lists = resume and lists.is_file()
    if has_lists:
        settings["data_source"] = freeze_split(read_config([stored], {}), lists, say)
    if resume and (output / "last.pt").is_file():
        settings |= {"resume": True, "init": None}
    workflow = build_workflow([stored], settings, "train#trainer")
    with plain_errors():
        trainer = workflow.parser.get_parsed_content("train#trainer")
        data = {name: workflow.parser.get_parsed_content(f"{name}#dataset#data") for name in ("train", "validate")}
        evaluator = workflow.parser.get_parsed_content("validate#evaluator")
        interval = workflow.parser.get_parsed_content("val_interval")
        if interval > trainer.state.max_epochs:
            what = f"val_interval={interval} is more than epochs={trainer.state.max_epochs}: none would be validated"
            raise UsageError(what, remedy="lower val_interval, or give more epochs")
        check_has_lateral_labels(data["validate"])
        if has_lists:
            check_no_missing_cases(lists, data)
        before = trained_before(lists) if has_lists else training_names(workflow.parser.get_parsed_content("init"))
        write_training_split(lists, data, workflow.parser.get_parsed_content("data_source"), before)
        say(_what_it_trains_on(data, trainer))
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
        say(f"Best validation IoU {best['val_mean_iou']:.4f} in epoch {best['epoch']}: {output / 'model.pt'}")
    say(f"Curves: {output / 'curves.png'}")
    return record


def _new_config(output: Path, overrides: dict, init: str | PathLike | None, say: Callable[[str], None]) -> dict:
    settings = dict(overrides, bundle_root=str(bundle_root()), output_dir=str(output))
    if init is not None:
        settings["init"] = str(weights_file(init))
        load_weights(settings["init"])
    config = read_config([config_file("train")], settings)
    _check_size(config["image_size"], config["network_def"])
    inherit_split(config, say)
    config["data_source"]["exclude"] = excluded_cases(config, ("train", "validation"))
    _make_absolute(config)
    return config


def _record(config: dict, data: dict[str, list[dict]], state, best: dict | None) -> dict:
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "seed": config["seed"],
        "threads": torch.get_num_threads(),
        "device": str(state.device),
        "data": {name: {"cases": len(cases), "sha256": data_hash(cases)} for name, cases in data.items()},
        "left_out": config["data_source"]["exclude"],
        "epochs": state.epoch,
        "best": best,
        "config": config,
    }


def _check_size(size: object, network: object) -> None:
    """Refuse, in words, a size that the network's strides do not divide; what an expression gives is not known."""
    strides = network.get("strides") if isinstance(network, dict) else None
    if isinstance(size, str) or not isinstance(strides, list) or not all(isinstance(one, int) for one in strides):
        return
    step = math.prod(strides)
    if not (isinstance(size, int) and size > 0 and size % step == 0):
        raise UsageError(f"image_size={size} is no multiple of {step}", remedy=f"give one, such as {16 * step}")


def _make_absolute(config: dict) -> None:
    """Make the paths absolute, so that the run can be resumed from any folder."""
    source = config["data_source"]
    paths = [(config, "dataset_dir"), (config, "init"), *((source, key) for key in _PATHS)]
    if str(source["patients"]).lower().endswith(".csv"):  # else it is a regular expression
        paths.append((source, "patients"))
    for owner, key in paths:
        if owner[key] is not None and not is_computed(owner[key]):
            owner[key] = str(Path(owner[key]).absolute())


def _what_it_trains_on(data: dict[str, list[dict]], trainer) -> str:
    def told(cases: list[dict]) -> str:
        sets = Counter(case["set"] for case in cases)
        if set(sets) == {"other"}:
            return str(len(cases))
        return f"{len(cases)} ({', '.join(f'{name} {count}' for name, count in sorted(sets.items()))})"

    epochs, threads = trainer.state.max_epochs, torch.get_num_threads()
    return (
        f"Training on {told(data['train'])} radiographs, choosing on {told(data['validate'])}, up to {epochs} "
        f"epoch{'s' * (epochs != 1)} on {trainer.state.device} with {threads} thread{'s' * (threads != 1)}."
    )


def data_hash(cases: list[dict]) -> str:
    """Return the SHA-256 over names and contents of the cases' images and references, in hex."""
    digest = hashlib.sha256()
    for case in cases:
        labels = [case["label"]] if isinstance(case["label"], str) else case["label"]
        for file in (case["image"], *labels):
            digest.update(os.fsencode(Path(file).name) + b"\0" + hashlib.sha256(Path(file).read_bytes()).digest())
    return digest.hexdigest()
