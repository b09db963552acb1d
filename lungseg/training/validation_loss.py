# SPDX-License-Identifier: Apache-2.0
"""The training loss of validation images."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Events
from ignite.metrics import Loss
from ignite.metrics.metric import MetricUsage
from monai.engines.utils import IterationEvents

from lungseg.training.engine import MonaiEngine


class ValidationLoss(Loss):
    """Ignite's mean of a loss, of the network's output as it is before MONAI's postprocessing.

    The reference is an item of the batch at the size of the network's input: an evaluator's own labels have the size of
    the file. Images count equally. It costs no further pass through the network.

    Args:
        loss_fn: the loss of training.
        target: the item with the reference.
        **arguments: of Ignite's Loss.
    """

    def __init__(self, loss_fn: torch.nn.Module, target: str = "target", **arguments: Any) -> None:
        super().__init__(loss_fn, **arguments)
        self._target = target

    def attach(self, engine: MonaiEngine, name: str, usage: Any = None) -> None:
        """Attach to a MONAI Evaluator."""
        super().attach(engine, name, usage or _BEFORE_POSTPROCESSING)

    @torch.no_grad()
    def iteration_completed(self, engine: MonaiEngine) -> None:
        """Add the loss of the batch that went through the network."""
        pred = engine.state.output["pred"]
        self.update((pred, engine.state.batch[self._target].to(pred.device)))


_BEFORE_POSTPROCESSING = MetricUsage(
    started=Events.EPOCH_STARTED,
    completed=Events.EPOCH_COMPLETED,
    iteration_completed=IterationEvents.FORWARD_COMPLETED,
)
