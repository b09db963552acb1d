# SPDX-License-Identifier: Apache-2.0
"""The files of a run: its best weights, its history, and the state to continue from."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Collection, Mapping
from os import PathLike
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from ignite.engine import Events
from ignite.handlers import Checkpoint
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lungseg.model.weights import save_checkpoint, weights_hash
from lungseg.training.engine import MonaiEngine, is_main_process
from lungseg.training.kept_settings import check_same_settings, kept_settings
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import atomic_path

_log = logging.getLogger(__name__)


class RunCheckpoint:
    """Keep a run's best weights (`model.pt`) and everything that it needs to continue (`last.pt`), written atomically.

    Ignite's Checkpoint, which MONAI's CheckpointSaver uses, removes the previous file before it writes the next one
    under the same name, so a run that is killed between the two could not be resumed. Attach this handler after the
    handlers that validate, schedule and stop: it stores their state, and the scaler of a trainer's mixed precision.

    The trainer's state gets `history`, a dict per epoch: `epoch`, `loss` and `learning_rate`, the means over its steps,
    and the evaluator's metrics if it validated. Epoch 0, the initial weights, has metrics alone; it is there if the
    ValidationHandler validates at the start. The state also gets `changes`, a dict for each time that the run was
    resumed with other settings: `after_epoch` and `settings`, name -> [value before, value from then on].

    Args:
        output_dir: folder for `history.json`.
        state: name -> object with `state_dict` and `load_state_dict`, such as network, optimizer, lr_scheduler.
        best: module whose weights are saved as a plain `state_dict` when the key metric improves.
        evaluator: MONAI Evaluator with the key metric; with None the latest weights are kept.
        resume: load `last.pt` when the run starts.
        init: file of the initial weights, which are the best ones until an epoch is better; random ones are measured,
            but not kept.
        ckpt_dir: folder for `model.pt` and `last.pt`; None for `output_dir`. Weights that are there and that no
            training wrote, such as those of a downloaded bundle, are kept as `model_before_training.pt`.
        settings: see :func:`lungseg.training.kept_settings.kept_settings`; a run is not resumed with others.
        may_change: names of the settings that a resumed run may change all the same: "epochs", for which the learning
            rate follows the schedule of the new number from the next epoch on, or "patience".
    """

    def __init__(
        self,
        output_dir: str | PathLike[str],
        state: dict[str, Any],
        best: torch.nn.Module,
        evaluator: MonaiEngine | None = None,
        resume: bool = False,
        init: str | PathLike[str] | None = None,
        ckpt_dir: str | PathLike[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        may_change: Collection[str] = (),
    ) -> None:
        self.settings = None if settings is None else kept_settings(settings)
        self.may_change = may_change
        self.output_dir, self.ckpt_dir = Path(output_dir), Path(output_dir if ckpt_dir is None else ckpt_dir)
        self.state, self.best, self.evaluator, self.resume = state, best, evaluator, resume
        self.init = init
        self.history: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        self._losses: list[float] = []
        self._rates: list[float] = []
        self._initial: dict[str, torch.Tensor] | None = None

    def attach(self, engine: MonaiEngine) -> None:
        """Attach to a MONAI Trainer; must come after its ValidationHandler."""
        engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.ITERATION_STARTED, self._note_rate)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._note_loss)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)
        engine.add_event_handler(Events.COMPLETED, self._report)

    def load(self, engine: MonaiEngine) -> None:
        """Begin with epoch 0, or restore trainer, evaluator and all of `state` from `last.pt`."""
        path = self.ckpt_dir / "last.pt"
        engine.state.history, engine.state.changes = self.history, self.changes
        if not self.resume:
            if is_main_process() and not path.exists():
                self._keep_other_weights()
            self._begin()
            return
        if not path.is_file():
            raise LungsegError(
                "there is no run to resume", path, "leave out --resume or name the run's folder", code="no-run"
            )
        try:
            stored = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise LungsegError(
                "the checkpoint cannot be read", path, "start a new run without --resume", code="checkpoint-damaged"
            ) from error
        changes = check_same_settings(stored.get("settings"), self.settings, self.ckpt_dir, self.may_change)
        if stored["epoch"] > engine.state.max_epochs:
            what = f"{stored['epoch']} epochs are done, more than epochs={engine.state.max_epochs}"
            raise UsageError(what, self.ckpt_dir, "give more epochs", code="epochs-done")
        schedules = _schedules(self.state) if "epochs" in changes else {}
        others = {name: item for name, item in self.state.items() if name not in schedules}
        Checkpoint.load_objects(to_load=others, checkpoint=stored["state"])
        for name, schedule in schedules.items():
            _forward(schedule, stored["state"][name]["last_epoch"])
        # Empty if the run had no mixed precision.
        scaler = _scaler(engine)
        if scaler is not None and stored.get("scaler"):
            scaler.load_state_dict(stored["scaler"])
        self.history = engine.state.history = stored["history"]
        self.changes = engine.state.changes = stored.get("changes", [])
        if changes:
            self.changes.append({"after_epoch": stored["epoch"], "settings": changes})
        engine.state.epoch, engine.state.iteration = stored["epoch"], stored["iteration"]
        if self.evaluator is not None:
            self.evaluator.state.best_metric = stored["best_metric"]
            self.evaluator.state.best_metric_epoch = stored["best_metric_epoch"]
        if stored["stopped"] and "patience" not in changes:
            engine.terminate()

    def _begin(self) -> None:
        """Note the figures of the initial weights, if they were measured."""
        if self.evaluator is None or not self.evaluator.state.metrics:
            return
        self.history.append({"epoch": 0} | self._metrics())
        if self.init is not None:
            # They are written with the first `last.pt`: without that, nobody knows whose weights they are.
            self._initial = {name: value.clone() for name, value in self.best.state_dict().items()}
        else:
            self.evaluator.state.best_metric = self.evaluator.state.best_metric_epoch = -1

    def _metrics(self) -> dict[str, Any]:
        assert self.evaluator is not None
        return {name: _number(value) for name, value in self.evaluator.state.metrics.items()}

    def _keep_other_weights(self) -> None:
        weights = self.ckpt_dir / "model.pt"
        if weights.is_file():
            kept = weights.with_name("model_before_training.pt")
            os.replace(weights, kept)
            _log.warning("%s: the weights that were here are kept as %s", weights, kept.name)

    def _report(self, engine: MonaiEngine) -> None:
        weights = self.ckpt_dir / "model.pt"
        if is_main_process() and weights.is_file():
            epoch = self.evaluator.state.best_metric_epoch if self.evaluator is not None else engine.state.epoch
            _log.info("trained weights: %s, epoch %d, SHA-256 %s", weights, epoch, weights_hash(weights))

    def _note_rate(self, engine: MonaiEngine) -> None:
        optimizer = getattr(engine, "optimizer", None)
        if optimizer is not None:
            self._rates.append(optimizer.param_groups[0]["lr"])

    def _note_loss(self, engine: MonaiEngine) -> None:
        self._losses.append(float(engine.state.output[0]["loss"]))

    def save(self, engine: MonaiEngine) -> None:
        """Save at the end of an epoch: first the weights if they are the best, then the state."""
        entry: dict[str, Any] = {"epoch": engine.state.epoch, "loss": fmean(self._losses)}
        if self._rates:
            entry["learning_rate"] = engine.state.learning_rate = fmean(self._rates)
        self._losses, self._rates = [], []
        evaluated = self.evaluator is not None and self.evaluator.state.epoch == engine.state.epoch
        if evaluated:
            entry |= self._metrics()
        self.history.append(entry)
        if not is_main_process():
            return
        best = engine.state.epoch if self.evaluator is None else self.evaluator.state.best_metric_epoch
        if best == engine.state.epoch:
            save_checkpoint(self.best.state_dict(), self.ckpt_dir / "model.pt")
        elif self._initial is not None:
            save_checkpoint(self._initial, self.ckpt_dir / "model.pt")
        self._initial = None
        scaler = _scaler(engine)
        stored = {
            "state": {name: _unwrapped(item).state_dict() for name, item in self.state.items()},
            "scaler": {} if scaler is None else scaler.state_dict(),
            "history": self.history,
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "best_metric": self.evaluator.state.best_metric if self.evaluator is not None else None,
            "best_metric_epoch": self.evaluator.state.best_metric_epoch if self.evaluator is not None else None,
            "stopped": bool(engine.should_terminate),
            "settings": self.settings,
            "changes": self.changes,
        }
        save_checkpoint(stored, self.ckpt_dir / "last.pt")
        with atomic_path(self.output_dir / "history.json") as path:
            path.write_text(json.dumps(self.history, indent=1))


def _schedules(state: Mapping[str, Any]) -> dict[str, LRScheduler]:
    """Return the schedules of the learning rate that depend on nothing but the number of steps."""
    return {
        name: item
        for name, item in state.items()
        if isinstance(item, LRScheduler) and not isinstance(item, ReduceLROnPlateau)
    }


def _forward(schedule: LRScheduler, steps: int) -> None:
    """Bring a new schedule, and the rate of its optimizer, to where it is after a number of steps."""
    for group, rate in zip(schedule.optimizer.param_groups, schedule.base_lrs, strict=True):
        group["lr"] = rate
    with warnings.catch_warnings():
        # PyTorch asks for a step of the optimizer first, which the run has made before.
        warnings.simplefilter("ignore")
        for _ in range(steps):
            schedule.step()


def _unwrapped(item: Any) -> Any:
    """Return the module within DistributedDataParallel: its parameters have the names of a run on one device."""
    return item.module if isinstance(item, torch.nn.parallel.DistributedDataParallel) else item


def _scaler(engine: MonaiEngine) -> torch.amp.GradScaler | None:
    scaler: torch.amp.GradScaler | None = getattr(engine, "scaler", None)
    return scaler


def _number(value: Any) -> float | list[float]:
    """Return a metric in a form that JSON and a safe checkpoint can hold."""
    number: float | list[float] = torch.as_tensor(value).tolist()
    return number
