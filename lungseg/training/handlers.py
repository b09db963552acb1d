# SPDX-License-Identifier: Apache-2.0
"""Ignite handlers that make a run repeatable, resumable and visible."""

from __future__ import annotations

import json
import math
from os import PathLike
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, EMAHandler
from monai.data.utils import set_rnd
from monai.utils import set_determinism

from lungseg.model.weights import save_checkpoint
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path


def per_lung(output: list[dict]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Give metric handlers the two lungs of each label map, as boolean (2, W, H) predictions and references.

    A reference whose sides are not known (label 3) has two empty lungs, which MONAI's metrics leave out.
    """
    pairs = [tuple(torch.cat([item[key] == lung for lung in (1, 2)]) for key in ("pred", "label")) for item in output]
    return [pred for pred, _ in pairs], [label for _, label in pairs]


def union(output: list[dict]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Give metric handlers the union of the lungs, as boolean (1, W, H) predictions and references."""
    return [item["pred"] > 0 for item in output], [item["label"] > 0 for item in output]


def is_main_process() -> bool:
    """Whether this process writes files: rank 0, or the only one."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


class EpochSeeder:
    """Make each epoch's randomness a function of (seed, epoch) alone.

    Shuffling, the workers' seeds and the random transforms then do not depend on what ran before, so that a resumed
    run sees what the uninterrupted one would have seen.

    Args:
        seed: seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Reseed `engine` (a MONAI Trainer) at each start of an epoch, before its data loader starts workers."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        seed = (self.seed * 1_000_003 + engine.state.epoch * 1009 + rank) % 2**31
        set_determinism(seed=seed)
        # With workers MONAI's loader seeds the transforms in each; without, they live here.
        set_rnd(engine.data_loader.dataset, seed)


class ResumableEMA(EMAHandler):
    """Ignite's exponential moving average of the weights, with the state that a resumed run needs.

    Takes the arguments of EMAHandler; `ema_model` has the average.
    """

    def state_dict(self) -> dict:
        """Return the average and how far the momentum's warm-up has come."""
        return {"model": self.ema_model.state_dict(), "updates": self.momentum_scheduler.event_index}

    def load_state_dict(self, state: dict) -> None:
        """Take up what `state_dict` returned; the handler must be attached."""
        self.ema_model.load_state_dict(state["model"])
        self.momentum_scheduler.event_index = state["updates"]


class EarlyStop:
    """End the training when the key metric has not improved for `patience` epochs.

    MONAI's EarlyStopHandler counts for itself and cannot be resumed; the evaluator's best epoch tells the same. A
    training ends after a validation alone, however long the interval between two.

    Args:
        evaluator: the MONAI Evaluator that validates.
        patience: number of epochs without a new best.
    """

    def __init__(self, evaluator: Engine, patience: int) -> None:
        self.evaluator, self.patience = evaluator, patience

    def attach(self, engine: Engine) -> None:
        """Attach to a MONAI Trainer, after its ValidationHandler."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        epoch, validated = engine.state.epoch, self.evaluator.state
        if validated.epoch == epoch and epoch - validated.best_metric_epoch >= self.patience:
            engine.terminate()


class RunCheckpoint:
    """Keep a run's best weights (`model.pt`) and all that it needs to go on (`last.pt`), each written atomically.

    MONAI's CheckpointSaver does not write atomically and does not keep the best metric, so it cannot bring a killed
    run back bit for bit. Attach it after the handlers that validate, schedule and stop: it stores their state. The
    scaler of a trainer's mixed precision is stored, too.

    Args:
        output_dir: folder of the run.
        state: name -> object with `state_dict` and `load_state_dict`, such as network, optimizer, lr_scheduler.
        best: module whose weights are saved as a plain `state_dict` when the key metric improves.
        evaluator: MONAI Evaluator with the key metric; None keeps the latest weights.
        resume: load `last.pt` when the run starts.
    """

    def __init__(
        self,
        output_dir: str | PathLike,
        state: dict[str, object],
        best: torch.nn.Module,
        evaluator: Engine | None = None,
        resume: bool = False,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.state, self.best, self.evaluator, self.resume = state, best, evaluator, resume
        self.history: list[dict] = []
        self._losses: list[float] = []

    def attach(self, engine: Engine) -> None:
        """Attach to a MONAI Trainer; must come after its ValidationHandler."""
        engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._note_loss)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def load(self, engine: Engine) -> None:
        """Bring trainer, evaluator and all of `state` to where `last.pt` left them."""
        if not self.resume:
            return
        path = self.output_dir / "last.pt"
        if not path.is_file():
            raise LungsegError("there is no run to resume", path, "leave out --resume or name the run's folder")
        try:
            stored = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise LungsegError("the checkpoint cannot be read", path, "start the run anew without --resume") from error
        Checkpoint.load_objects(to_load=self.state, checkpoint=stored["state"])
        # Empty where the run had no mixed precision.
        if _scaler(engine) is not None and stored.get("scaler"):
            _scaler(engine).load_state_dict(stored["scaler"])
        self.history = stored["history"]
        engine.state.epoch, engine.state.iteration = stored["epoch"], stored["iteration"]
        if self.evaluator is not None:
            self.evaluator.state.best_metric = stored["best_metric"]
            self.evaluator.state.best_metric_epoch = stored["best_metric_epoch"]
        if stored["stopped"]:
            engine.terminate()

    def _note_loss(self, engine: Engine) -> None:
        self._losses.append(float(engine.state.output[0]["loss"]))

    def save(self, engine: Engine) -> None:
        """Save at the end of an epoch: first the weights if they are the best, then the state."""
        entry = {"epoch": engine.state.epoch, "loss": sum(self._losses) / max(1, len(self._losses))}
        self._losses = []
        evaluated = self.evaluator is not None and self.evaluator.state.epoch == engine.state.epoch
        if evaluated:
            entry |= {name: _number(value) for name, value in self.evaluator.state.metrics.items()}
        self.history.append(entry)
        if not is_main_process():
            return
        if self.evaluator is None or (evaluated and self.evaluator.state.best_metric_epoch == engine.state.epoch):
            save_checkpoint(self.best.state_dict(), self.output_dir / "model.pt")
        stored = {
            "state": {name: _unwrapped(item).state_dict() for name, item in self.state.items()},
            "scaler": _scaler(engine).state_dict() if _scaler(engine) is not None else {},
            "history": self.history,
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "best_metric": self.evaluator.state.best_metric if self.evaluator is not None else None,
            "best_metric_epoch": self.evaluator.state.best_metric_epoch if self.evaluator is not None else None,
            "stopped": bool(engine.should_terminate),
        }
        save_checkpoint(stored, self.output_dir / "last.pt")
        with atomic_path(self.output_dir / "history.json") as path:
            path.write_text(json.dumps(self.history, indent=1))


def _unwrapped(item):
    """The module within DistributedDataParallel, whose names a run on one device shares."""
    return item.module if isinstance(item, torch.nn.parallel.DistributedDataParallel) else item


def _scaler(engine: Engine) -> torch.amp.GradScaler | None:
    return getattr(engine, "scaler", None)


def _number(value) -> float | list[float]:
    """A metric as JSON and a safe checkpoint can hold it."""
    value = torch.as_tensor(value)
    return value.item() if value.ndim == 0 else value.tolist()


class ProgressBar:
    """One bar for the whole run, with the time left, the loss and the latest validation figure.

    Args:
        evaluator: MONAI Evaluator whose key metric is shown.
        disable: show nothing; None shows the bar on a terminal alone.
    """

    def __init__(self, evaluator: Engine | None = None, disable: bool | None = False) -> None:
        self.evaluator, self.disable = evaluator, disable or not is_main_process()
        self.bar = None

    def attach(self, engine: Engine) -> None:
        """Attach to a MONAI Trainer, after what resumes it."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        engine.add_event_handler(Events.COMPLETED, self._close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._abort)

    def _start(self, engine: Engine) -> None:
        from tqdm import tqdm

        total = engine.state.max_epochs * engine.state.epoch_length
        self.bar = tqdm(total=total, initial=engine.state.iteration, unit="batch", disable=self.disable, smoothing=0.05)

    def _step(self, engine: Engine) -> None:
        shown = {"epoch": engine.state.epoch, "loss": f"{float(engine.state.output[0]['loss']):.3f}"}
        if self.evaluator is not None and self.evaluator.state.best_metric_epoch > 0:
            name = self.evaluator.state.key_metric_name
            shown["val IoU"] = f"{self.evaluator.state.metrics.get(name, math.nan):.4f}"
            shown["best"] = f"{self.evaluator.state.best_metric:.4f}"
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()

    def _close(self, engine: Engine) -> None:
        self.bar.close()

    def _abort(self, engine: Engine, error: Exception) -> None:
        if self.bar is not None:
            self.bar.close()
        raise error
