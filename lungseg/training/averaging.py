# SPDX-License-Identifier: Apache-2.0
"""The moving average of the weights."""

from __future__ import annotations

from typing import Any

from ignite.engine import Events
from ignite.handlers import EMAHandler, LambdaStateScheduler
from torch import nn

from lungseg.training.engine import MonaiEngine


class ResumableEMA(EMAHandler):
    """Ignite's exponential moving average of the weights, for runs of any length, that a resumed run continues.

    An average that reaches back a fixed number of steps is no good in a short run: most of it would be the weights
    that the run began with. By default this one reaches back over a share of the steps so far, as the polynomial-decay
    averaging of Shamir and Zhang 2013 (arXiv 1212.1824) does, but not farther than 1 / `momentum` steps. `ema_model` is
    the average.

    Args:
        model: the network.
        momentum: smallest weight of the newest weights in the average.
        momentum_warmup, warmup_iters: Ignite's linear warm-up of the momentum, in place of the share.
        handle_buffers: see Ignite's EMAHandler.
        share: part of the steps so far that the average reaches back; where that is less than a step, the average is
            the network.
    """

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.005,
        momentum_warmup: float | None = None,
        warmup_iters: int | None = None,
        handle_buffers: str = "update",
        share: float = 0.1,
    ) -> None:
        super().__init__(model, momentum, momentum_warmup, warmup_iters, handle_buffers)
        self._share = share if momentum_warmup is None or warmup_iters is None else None

    def attach(self, engine: MonaiEngine, name: str = "ema_momentum", *args: Any, **kwargs: Any) -> None:
        """Attach to a MONAI Trainer."""
        if self._share is None:
            super().attach(engine, name, *args, **kwargs)
            return
        self.momentum_scheduler = LambdaStateScheduler(self._momentum_of, name, create_new=True)
        self.momentum_scheduler.attach(engine, Events.ITERATION_COMPLETED)
        super().attach(engine, name, warn_if_exists=False)

    def _momentum_of(self, step: int) -> float:
        assert self._share is not None
        return max(self.momentum, 1 / max(1.0, self._share * step))

    def state_dict(self) -> dict[str, Any]:
        """Return the average and the number of updates, on which the momentum depends."""
        assert self.momentum_scheduler is not None
        return {"model": self.ema_model.state_dict(), "updates": self.momentum_scheduler.event_index}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`; the handler must be attached."""
        self.ema_model.load_state_dict(state["model"])
        assert self.momentum_scheduler is not None
        self.momentum_scheduler.event_index = state["updates"]
