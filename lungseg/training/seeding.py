# SPDX-License-Identifier: Apache-2.0
"""The randomness of each epoch."""

from __future__ import annotations

import torch
from ignite.engine import Events
from monai.data.utils import set_rnd
from monai.utils import set_determinism

from lungseg.training.engine import MonaiEngine


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
