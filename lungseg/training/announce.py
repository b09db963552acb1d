# SPDX-License-Identifier: Apache-2.0
"""Words about a training before it begins: its data, its number of steps, and whether they can be enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import torch
from ignite.engine import Events

from lungseg.training.engine import MonaiEngine
from lungseg.training.log import RunLog

if TYPE_CHECKING:
    from lungseg.data import Caches

# 28 radiographs at 128 pixels, from random weights: an IoU of 0.4 after 30 steps, and of 0.7 after 90.
FEW_STEPS = 300


class Announcement:
    """Log how much a training will do, before the initial weights are measured; `train.log` keeps it.

    Args:
        evaluator: MONAI Evaluator that validates.
        init: file of the initial weights; None for random ones, with which a training takes many steps.
        resume: whether a run continues, whose initial weights were measured before.
        output_dir: folder of the run, for `train.log`; None for no file.
        show: whether the lines are logged; the file has them in any case.
        caches: those of the training's images, whose line the file gets; None for none.
    """

    def __init__(
        self,
        evaluator: MonaiEngine,
        init: str | PathLike[str] | None = None,
        resume: bool = False,
        output_dir: str | PathLike[str] | None = None,
        show: bool = True,
        caches: Caches | None = None,
    ) -> None:
        self.evaluator, self.init, self.resume, self.caches = evaluator, init, resume, caches
        self._log = RunLog(output_dir, show)

    def attach(self, engine: MonaiEngine) -> None:
        """Attach to a MONAI Trainer, before its ValidationHandler."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: MonaiEngine) -> None:
        """Log the lines."""
        self._log.begin()
        if self.caches is not None:
            self._log.keep(self.caches.line)
        state = engine.state
        steps = state.max_epochs * state.epoch_length
        data = [_cases(one.data_loader) for one in (engine, self.evaluator)]
        threads = torch.get_num_threads()
        self._log.say(
            f"Training on {data[0]} radiographs, validating on {data[1]}: up to {_count(state.max_epochs, 'epoch')} of "
            f"{_count(state.epoch_length, 'step')}, {_count(steps, 'step')} in all, on {state.device} with "
            f"{_count(threads, 'thread')}."
        )
        if self.resume:
            return
        if self.init is None and steps < FEW_STEPS:
            self._log.say(
                f"Random weights need more than {_count(steps, 'step')} to find the lungs well. Give more epochs, or "
                "start from trained weights with --init shipped (in a config, the item init): epoch 0 then shows how "
                "good they are."
            )
        self._log.say("Epoch 0 measures the initial weights.")


def _cases(loader: Any) -> str:
    """Return the number of a loader's cases, and that of each public data set among them."""
    cases: Sequence[Mapping[str, Any]] = loader.dataset.data
    sets = Counter(str(case.get("set", "other")) for case in cases)
    if len(sets) == 1:
        return str(len(cases))
    return f"{len(cases)} ({', '.join(f'{name} {number}' for name, number in sorted(sets.items()))})"


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}{'s' * (number != 1)}"
