# SPDX-License-Identifier: Apache-2.0
"""How far a training is: a line an epoch, and bars within an epoch on a terminal."""

from __future__ import annotations

import logging
import math
import sys
import time
from os import PathLike
from typing import Any

from ignite.engine import Events
from ignite.handlers import ProgressBar as IgniteProgressBar

from lungseg.report.curves import metric_title
from lungseg.training.engine import MonaiEngine, is_main_process
from lungseg.training.log import RunLog
from lungseg.utils.text import describe_duration

_log = logging.getLogger(__name__)

_BAR = "{desc} [{n_fmt}/{total_fmt}] {percentage:3.0f}%|{bar}{postfix} [{elapsed}<{remaining}]"


class ProgressLines:
    """Log a line an epoch, which `train.log` keeps, and the result at the end; on a terminal bars show the steps.

    A line has the mean loss of the steps, the loss of the validation images, the key metric, its best value so far, the
    mean learning rate, and the time; epoch 0 is the initial weights. The line of an epoch that did not validate has no
    figures of a validation.

    Args:
        evaluator: MONAI Evaluator that validates.
        output_dir: folder of the run, for `train.log`; None for no file.
        show: whether lines are logged and bars are drawn; the file has the lines in any case.
    """

    def __init__(
        self,
        evaluator: MonaiEngine | None = None,
        output_dir: str | PathLike[str] | None = None,
        show: bool = True,
    ) -> None:
        self.evaluator, self.show = evaluator, show
        self._log = RunLog(output_dir, show)
        self._began, self._epoch_began, self._first = 0.0, 0.0, 0

    def attach(self, engine: MonaiEngine) -> None:
        """Attach to a MONAI Trainer, after the handler that resumes it."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)
        engine.add_event_handler(Events.COMPLETED, self._end)
        on_terminal = sys.stderr is not None and sys.stderr.isatty()
        if not (self.show and on_terminal and _log.isEnabledFor(logging.INFO) and is_main_process()):
            return
        steps = IgniteProgressBar(bar_format=_BAR, file=sys.stderr)
        steps.attach(engine, output_transform=lambda output: {"loss": float(output[0]["loss"])})
        engine.add_event_handler(Events.EXCEPTION_RAISED, _close, steps)
        if self.evaluator is not None:
            images = IgniteProgressBar(bar_format=_BAR, file=sys.stderr, desc="Validation")
            images.attach(self.evaluator)
            self.evaluator.add_event_handler(Events.EXCEPTION_RAISED, _close, images)

    def _start(self, engine: MonaiEngine) -> None:
        self._began = self._epoch_began = time.monotonic()
        self._first = engine.state.epoch
        history = getattr(engine.state, "history", [])
        if self._first:
            self._log.say(self._continues(engine))
        elif history:
            self._log.say(self._line(engine, history[-1]))

    def _continues(self, engine: MonaiEngine) -> str:
        if engine.state.max_epochs == self._first:
            return f"All {self._first} epochs are done; --epochs N trains longer (in a config, the item epochs)."
        if engine.should_terminate:
            return (
                f"The run stopped after epoch {self._first}, because it no longer improved; --config patience=N with a "
                "larger number goes on."
            )
        changes = [one for one in getattr(engine.state, "changes", []) if one["after_epoch"] == self._first][-1:]
        now = "".join(
            f", now with {name} {after} (before {before})"
            for one in changes
            for name, (before, after) in one["settings"].items()
        )
        return f"Continuing after epoch {self._first}{now}."

    def _end_epoch(self, engine: MonaiEngine) -> None:
        now, epoch = time.monotonic(), engine.state.epoch
        entry = {"epoch": epoch, "loss": math.nan}
        entry = next(iter(getattr(engine.state, "history", [])[-1:]), entry)
        line = f"{self._line(engine, entry)}  {describe_duration(now - self._epoch_began)}"
        left = engine.state.max_epochs - epoch
        if left and not engine.should_terminate:
            line += f", {describe_duration((now - self._began) / (epoch - self._first) * left)} left"
        self._epoch_began = now
        self._log.say(line)

    def _line(self, engine: MonaiEngine, entry: dict[str, Any]) -> str:
        last = str(engine.state.max_epochs)
        parts = [f"epoch {entry['epoch']:{len(last)}}/{last}", f"loss {_figure(entry.get('loss'), '.4f', 6)}"]
        if self.evaluator is not None:
            key = self.evaluator.state.key_metric_name
            parts += [
                f"val loss {_figure(entry.get('val_loss'), '.4f', 6)}",
                f"{metric_title(key)} {_figure(entry.get(key), '.4f', 6)}",
                self._best(),
            ]
        parts.append(f"rate {_figure(entry.get('learning_rate'), '.1e', 7)}")
        return "  ".join(parts)

    def _best(self) -> str:
        assert self.evaluator is not None
        state = self.evaluator.state
        return f"best {_figure(state.best_metric if state.best_metric_epoch >= 0 else None, '.4f', 6)}"

    def _end(self, engine: MonaiEngine) -> None:
        history = getattr(engine.state, "history", [])
        if self.evaluator is None or self.evaluator.state.best_metric_epoch < 0:
            return
        state = self.evaluator.state
        title = metric_title(state.key_metric_name)
        if state.best_metric_epoch == 0:
            self._log.say(
                f"No epoch was better than the initial weights (validation {title} {state.best_metric:.4f}): model.pt "
                "holds them. Try a lower learning rate, more epochs or more images."
            )
            return
        gain = ""
        if history and history[0]["epoch"] == 0:
            gain = f"; the initial weights had {history[0].get(state.key_metric_name, math.nan):.4f}"
        self._log.say(f"Best validation {title}: {state.best_metric:.4f} in epoch {state.best_metric_epoch}{gain}.")


def _figure(value: Any, style: str, width: int) -> str:
    return f"{value:{style}}" if isinstance(value, int | float) else f"{'-':>{width}}"


def _close(engine: MonaiEngine, error: Exception, bar: IgniteProgressBar) -> None:
    if bar.pbar is not None:
        bar.pbar.close()
    raise error
