# SPDX-License-Identifier: Apache-2.0
"""The order in which a training sees its cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils.data import RandomSampler, Sampler, WeightedRandomSampler


def case_sampler(cases: Sequence[Mapping[str, Any]], epoch_size: int | None = None) -> Sampler[int]:
    """Return a sampler of PyTorch's that gives each source its share of the cases drawn.

    Args:
        cases: as :func:`lungseg.data.datalist` returns them.
        epoch_size: number of cases that an epoch draws, with replacement; None: each case once, whatever its source.
    """
    if epoch_size is None:
        return RandomSampler(cases)
    return WeightedRandomSampler([case["share"] for case in cases], epoch_size)
