# SPDX-License-Identifier: Apache-2.0
"""Predictions beside references of either extent."""

from __future__ import annotations

import pytest
import torch

from lungseg.data.labels import NOT_STATED, SIDE_UNKNOWN
from lungseg.training.comparison import compared, per_lung, per_visible_lung, stated_extent, union
from lungseg.transforms.regions import HEART, VISIBLE
from lungseg.utils.errors import LungsegError

# Right lung, right lung behind the heart, left lung, heart alone, background.
REGIONS = torch.tensor([[1 | VISIBLE, 1 | HEART, 2 | VISIBLE, HEART, 0]], dtype=torch.uint8)[None]


def targets(visible: list[int] | None = None, full: list[int] | None = None) -> torch.Tensor:
    silent = [NOT_STATED] * 5
    return torch.tensor([[visible or silent], [full or silent], [silent]], dtype=torch.uint8)


def test_the_visible_lungs_are_compared_with_visible_references():
    pred, reference = compared(REGIONS, targets(visible=[1, 0, 2, 0, 0]))
    assert pred.tolist() == reference.tolist() == [[[1, 0, 2, 0, 0]]]


def test_the_full_lungs_are_compared_with_full_references_where_they_are_judged():
    pred, reference = compared(REGIONS, targets(full=[1, 1, NOT_STATED, 0, 0]))
    assert pred.tolist() == reference.tolist() == [[[1, 1, 0, 0, 0]]]


def test_metrics_get_the_extent_that_they_ask_for():
    batch = [{"pred": REGIONS, "label": targets(full=[1, 1, 2, 0, 0])}]
    (pred,), (reference,) = per_lung(batch)
    assert torch.equal(pred, reference)
    assert reference.sum(dim=(1, 2)).tolist() == [2, 1]
    _, (reference,) = per_visible_lung(batch)
    # MONAI's metrics leave out an empty reference.
    assert reference.sum() == 0


def test_an_unknown_side_counts_in_the_union_alone():
    batch = [{"pred": REGIONS, "label": targets(visible=[SIDE_UNKNOWN, 0, SIDE_UNKNOWN, 0, 0])}]
    (pred,), (reference,) = union(batch)
    assert torch.equal(pred, reference)
    _, (lungs,) = per_lung(batch)
    assert lungs.sum() == 0


def test_the_extent_is_read_off_the_targets():
    assert stated_extent(targets(visible=[0] * 5)) == "visible"
    assert stated_extent(targets(full=[0] * 5)) == "full"
    assert stated_extent(targets()) is None


def test_another_size_is_refused():
    with pytest.raises(LungsegError) as error:
        compared(REGIONS[..., :-1], targets())
    assert error.value.code == "size-mismatch"
