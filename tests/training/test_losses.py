# SPDX-License-Identifier: Apache-2.0
"""The loss, by hand on a few pixels."""

from __future__ import annotations

import math

import pytest
import torch

from lungseg.training.losses import LungDiceCELoss


def logits_of(probabilities: list[list[float]]) -> torch.Tensor:
    """(1, 3, n, 1) logits of n pixels' probabilities."""
    return torch.tensor(probabilities).T[None, :, :, None].log()


def target_of(labels: list[int]) -> torch.Tensor:
    return torch.tensor(labels)[None, None, :, None]


def test_cross_entropy_of_known_sides():
    loss = LungDiceCELoss(dice_weight=0)
    value = loss(logits_of([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]]), target_of([0, 1]))
    assert value.item() == pytest.approx(-(math.log(0.7) + math.log(0.6)) / 2)


def test_an_unknown_side_counts_the_union():
    loss = LungDiceCELoss(dice_weight=0)
    value = loss(logits_of([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]]), target_of([0, 3]))
    assert value.item() == pytest.approx(-(math.log(0.7) + math.log(0.9)) / 2)


def test_dice_of_an_unknown_side_does_not_depend_on_how_the_lungs_share_it():
    loss = LungDiceCELoss(ce_weight=0)
    one = loss(logits_of([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]]), target_of([0, 3]))
    other = loss(logits_of([[0.7, 0.05, 0.25], [0.1, 0.1, 0.8]]), target_of([0, 3]))
    assert one.item() == pytest.approx(other.item(), abs=1e-5)
    expected = 1 - (2 * 0.9 + 1e-5) / (1 + 1.2 + 1e-5)
    assert one.item() == pytest.approx(expected, abs=1e-5)


def test_known_and_unknown_cases_in_one_batch_are_averaged():
    loss = LungDiceCELoss(ce_weight=0)
    logits = logits_of([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]])
    apart = [loss(logits, target_of(labels)).item() for labels in ([0, 1], [0, 3])]
    together = loss(torch.cat([logits, logits]), torch.cat([target_of([0, 1]), target_of([0, 3])]))
    assert together.item() == pytest.approx(sum(apart) / 2, abs=1e-6)


def test_a_sure_and_right_answer_costs_nothing():
    labels = torch.tensor([[0, 1, 2], [0, 1, 2]])[None, None]
    logits = 50.0 * torch.nn.functional.one_hot(labels[:, 0], 3).movedim(-1, 1)
    assert LungDiceCELoss()(logits, labels).item() == pytest.approx(0, abs=1e-4)
