# SPDX-License-Identifier: Apache-2.0
"""Ignite handlers that make a run repeatable, resumable and visible."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from ignite.handlers import Checkpoint, EMAHandler
from ignite.handlers import ProgressBar as IgniteProgressBar
from monai.data.utils import set_rnd
from monai.utils import set_determinism

from lungseg.model.weights import save_checkpoint, weights_hash
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path

_log = logging.getLogger(__name__)

# MONAI adds attributes to Ignite's engines and their states that their types do not have.
MonaiEngine = Any


def is_main_process() -> bool:
    """Return whether this process writes files: it has rank 0, or it is the only one."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


class EpochSeeder:
    """Make each epoch's randomness a function of (seed, epoch) alone.

    Shuffling, the workers' seeds and the random transforms then do not depend on earlier epochs, so a resumed run
    sees the same data as an uninterrupted one.

    Args:
        seed: seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def attach(self, engine: MonaiEngine) -> None:
        """Reseed `engine` (a MONAI Trainer) at each start of an epoch, before its data loader starts workers."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: MonaiEngine) -> None:
        """Seed the epoch that begins."""
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        seed = (self.seed * 1_000_003 + engine.state.epoch * 1009 + rank) % 2**31
        set_determinism(seed=seed)
        # MONAI's loader seeds the transforms in each of its workers; without workers they are in this process.
        set_rnd(engine.data_loader.dataset, seed)


class ResumableEMA(EMAHandler):
    """Ignite's exponential moving average of the weights, with the state that a resumed run needs.

    It takes the arguments of EMAHandler; `ema_model` is the average.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return the average and the number of updates, on which the momentum's warm-up depends."""
        assert self.momentum_scheduler is not None
        return {"model": self.ema_model.state_dict(), "updates": self.momentum_scheduler.event_index}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`; the handler must be attached."""
        self.ema_model.load_state_dict(state["model"])
        assert self.momentum_scheduler is not None
        self.momentum_scheduler.event_index = state["updates"]


class EarlyStop:
    """Stop the training when the key metric has not improved for `patience` epochs.

    Ignite's EarlyStopping is not used: it must be given the trainer, to which a config's trainer cannot refer, and it
    counts validations, not epochs. The evaluator's best epoch, which `RunCheckpoint` restores, is all the state needed.

    Args:
        evaluator: the MONAI Evaluator that validates.
        patience: number of epochs without a new best; the training stops only after a validation.
    """

    def __init__(self, evaluator: MonaiEngine, patience: int) -> None:
        self.evaluator, self.patience = evaluator, patience

    def attach(self, engine: MonaiEngine) -> None:
        """Attach to a MONAI Trainer, after its ValidationHandler."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: MonaiEngine) -> None:
        """Stop `engine` if it is time."""
        epoch, validated = engine.state.epoch, self.evaluator.state
        if validated.epoch == epoch and epoch - validated.best_metric_epoch >= self.patience:
            engine.terminate()


class RunCheckpoint:
    """Keep a run's best weights (`model.pt`) and everything that it needs to continue (`last.pt`), written atomically.

    Ignite's Checkpoint, which MONAI's CheckpointSaver uses, removes the previous file before it writes the next one
    under the same name, so a run that is killed between the two could not be resumed. Attach this handler after the
    handlers that validate, schedule and stop: it stores their state, and the scaler of a trainer's mixed precision.

    Args:
        output_dir: folder for `history.json`.
        state: name -> object with `state_dict` and `load_state_dict`, such as network, optimizer, lr_scheduler.
        best: module whose weights are saved as a plain `state_dict` when the key metric improves.
        evaluator: MONAI Evaluator with the key metric; with None the latest weights are kept.
        resume: load `last.pt` when the run starts.
        ckpt_dir: folder for `model.pt` and `last.pt`; None for `output_dir`. Weights that are there and that no
            training wrote, such as those of a downloaded bundle, are kept as `model_before_training.pt`.
    """

    def __init__(
        self,
        output_dir: str | PathLike[str],
        state: dict[str, Any],
        best: torch.nn.Module,
        evaluator: MonaiEngine | None = None,
        resume: bool = False,
        ckpt_dir: str | PathLike[str] | None = None,
    ) -> None:
        self.output_dir, self.ckpt_dir = Path(output_dir), Path(output_dir if ckpt_dir is None else ckpt_dir)
        self.state, self.best, self.evaluator, self.resume = state, best, evaluator, resume
        self.history: list[dict[str, Any]] = []
        self._losses: list[float] = []

    def attach(self, engine: MonaiEngine) -> None:
        """Attach to a MONAI Trainer; must come after its ValidationHandler."""
        engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._note_loss)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)
        engine.add_event_handler(Events.COMPLETED, self._report)

    def load(self, engine: MonaiEngine) -> None:
        """Restore trainer, evaluator and all of `state` from `last.pt`."""
        path = self.ckpt_dir / "last.pt"
        if not self.resume:
            if is_main_process() and not path.exists():
                self._keep_other_weights()
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
        Checkpoint.load_objects(to_load=self.state, checkpoint=stored["state"])
        # Empty if the run had no mixed precision.
        scaler = _scaler(engine)
        if scaler is not None and stored.get("scaler"):
            scaler.load_state_dict(stored["scaler"])
        self.history = stored["history"]
        engine.state.epoch, engine.state.iteration = stored["epoch"], stored["iteration"]
        if self.evaluator is not None:
            self.evaluator.state.best_metric = stored["best_metric"]
            self.evaluator.state.best_metric_epoch = stored["best_metric_epoch"]
        if stored["stopped"]:
            engine.terminate()

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

    def _note_loss(self, engine: MonaiEngine) -> None:
        self._losses.append(float(engine.state.output[0]["loss"]))

    def save(self, engine: MonaiEngine) -> None:
        """Save at the end of an epoch: first the weights if they are the best, then the state."""
        entry: dict[str, Any] = {"epoch": engine.state.epoch, "loss": sum(self._losses) / max(1, len(self._losses))}
        self._losses = []
        metrics = {} if self.evaluator is None else self.evaluator.state.metrics
        evaluated = self.evaluator is not None and self.evaluator.state.epoch == engine.state.epoch
        if evaluated:
            entry |= {name: _number(value) for name, value in metrics.items()}
        self.history.append(entry)
        if not is_main_process():
            return
        if self.evaluator is None or (evaluated and self.evaluator.state.best_metric_epoch == engine.state.epoch):
            save_checkpoint(self.best.state_dict(), self.ckpt_dir / "model.pt")
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
        }
        save_checkpoint(stored, self.ckpt_dir / "last.pt")
        with atomic_path(self.output_dir / "history.json") as path:
            path.write_text(json.dumps(self.history, indent=1))


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


class ProgressBar:
    """Show the epoch, the loss and the latest validation figure: Ignite's bar on a terminal, else a line now and then.

    Args:
        evaluator: MONAI Evaluator whose key metric is shown.
        show: whether to show anything; where news are not logged, nothing is shown.
        seconds: at least this time lies between two lines in a log; the first and the last epoch always have one.
    """

    def __init__(self, evaluator: MonaiEngine | None = None, show: bool = True, seconds: float = 30) -> None:
        self.evaluator, self.show, self.seconds = evaluator, show and is_main_process(), seconds
        self._began, self._first, self._logged = 0.0, 0, -math.inf

    def attach(self, engine: MonaiEngine) -> None:
        """Attach to a MONAI Trainer, after the handler that resumes it."""
        if not (self.show and _log.isEnabledFor(logging.INFO)):
            return
        if sys.stderr is not None and sys.stderr.isatty():
            bar = IgniteProgressBar(file=sys.stderr)
            bar.attach(engine, output_transform=lambda output: self._figures(engine))
            engine.add_event_handler(Events.EXCEPTION_RAISED, _close, bar)
        else:
            engine.add_event_handler(Events.STARTED, self._start)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._log)

    def _figures(self, engine: MonaiEngine) -> dict[str, str]:
        figures = {"loss": f"{float(engine.state.output[0]['loss']):.3f}"}
        if self.evaluator is not None and self.evaluator.state.best_metric_epoch > 0:
            name = self.evaluator.state.key_metric_name
            figures[name] = f"{self.evaluator.state.metrics.get(name, math.nan):.4f}"
            figures["best"] = f"{self.evaluator.state.best_metric:.4f}"
        return figures

    def _start(self, engine: MonaiEngine) -> None:
        self._began, self._first, self._logged = time.monotonic(), engine.state.epoch, -math.inf

    def _log(self, engine: MonaiEngine) -> None:
        now, epoch, last = time.monotonic(), engine.state.epoch, engine.state.max_epochs
        if now - self._logged < self.seconds and epoch != last and not engine.should_terminate:
            return
        self._logged = now
        figures = ", ".join(f"{name} {value}" for name, value in self._figures(engine).items())
        left = (now - self._began) / (epoch - self._first) * (last - epoch)
        _log.info("epoch %d of %d: %s, at most %d s left", epoch, last, figures, round(left))


def _close(engine: MonaiEngine, error: Exception, bar: IgniteProgressBar) -> None:
    if bar.pbar is not None:
        bar.pbar.close()
    raise error
