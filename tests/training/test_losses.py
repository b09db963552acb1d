# SPDX-License-Identifier: Apache-2.0
"""The loss, by hand on a few pixels."""

from __future__ import annotations

import math

import pytest
import torch

from lungseg.data.labels import HEART, NOT_STATED, SIDE_UNKNOWN
from lungseg.training.losses import LungHeartLoss
from lungseg.utils.errors import UsageError

LUNGS = [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]]


def logits_of(probabilities: list[list[float]], heart: list[float] | None = None) -> torch.Tensor:
    """(1, 3 or 4, n, 1) logits of n pixels' probabilities."""
    logits = torch.tensor(probabilities).T[None, :, :, None].log()
    return logits if heart is None else torch.cat([logits, torch.tensor(heart).logit()[None, None, :, None]], 1)


def target_of(visible: list[int] | None = None, full: list[int] | None = None, heart: list[int] | None = None):
    """(1, 3, n, 1) targets; a reference that is not given states nothing."""
    count = len(visible or full or heart or ())
    silent = [NOT_STATED] * count
    return torch.tensor([visible or silent, full or silent, heart or silent])[None, :, :, None]


@pytest.mark.parametrize("extent", ["visible", "full"])
def test_a_network_without_a_heart_learns_the_extent_that_is_stated(extent):
    value = LungHeartLoss(dice_weight=0)(logits_of(LUNGS), target_of(**{extent: [0, 1]}))
    assert value.item() == pytest.approx(-(math.log(0.7) + math.log(0.6)) / 2)


def test_an_unknown_side_counts_the_union():
    value = LungHeartLoss(dice_weight=0)(logits_of(LUNGS), target_of([0, SIDE_UNKNOWN]))
    assert value.item() == pytest.approx(-(math.log(0.7) + math.log(0.9)) / 2)


def test_dice_of_an_unknown_side_does_not_depend_on_how_the_lungs_share_it():
    loss = LungHeartLoss(ce_weight=0)
    one = loss(logits_of(LUNGS), target_of([0, SIDE_UNKNOWN]))
    other = loss(logits_of([[0.7, 0.05, 0.25], [0.1, 0.1, 0.8]]), target_of([0, SIDE_UNKNOWN]))
    assert one.item() == pytest.approx(other.item(), abs=1e-5)
    assert one.item() == pytest.approx(1 - (2 * 0.9 + 1e-5) / (1 + 1.2 + 1e-5), abs=1e-5)


def test_visible_lungs_are_the_full_lungs_that_the_heart_does_not_hide():
    value = LungHeartLoss(dice_weight=0)(logits_of(LUNGS, heart=[0.4, 0.2]), target_of([0, 1]))
    background, right = 1 - 0.3 * 0.6, 0.6 * 0.8
    assert value.item() == pytest.approx(-(math.log(background) + math.log(right)) / 2, abs=1e-6)


def test_the_full_extent_does_not_teach_the_heart():
    logits = logits_of(LUNGS, heart=[0.4, 0.2]).requires_grad_()
    LungHeartLoss()(logits, target_of(full=[0, SIDE_UNKNOWN])).backward()
    assert logits.grad[0, 3].abs().max() == 0
    assert logits.grad[0, :3].abs().min() > 0


def test_the_heart_is_compared_where_it_is_stated():
    loss, logits = LungHeartLoss(dice_weight=0), logits_of(LUNGS, heart=[0.4, 0.2])
    lungs = loss(logits, target_of([0, 1])).item()
    both = loss(logits, target_of([0, 1], heart=[HEART, 0])).item()
    assert both - lungs == pytest.approx(-(math.log(0.4) + math.log(0.8)) / 2, abs=1e-6)


def test_pixels_that_are_not_stated_do_not_count():
    loss = LungHeartLoss()
    one, other = ([[0.7, 0.2, 0.1], p] for p in ([0.1, 0.6, 0.3], [0.8, 0.1, 0.1]))
    target = target_of(full=[1, NOT_STATED])
    assert loss(logits_of(one), target).item() == pytest.approx(loss(logits_of(other), target).item())


def test_cases_of_several_kinds_in_one_batch_are_averaged():
    loss, logits = LungHeartLoss(), logits_of(LUNGS, heart=[0.4, 0.2])
    targets = [
        target_of([0, 1]),
        target_of([0, SIDE_UNKNOWN]),
        target_of([0, 1], heart=[HEART, 0]),
        target_of(full=[2, NOT_STATED]),
    ]
    apart = [loss(logits, target).item() for target in targets]
    together = loss(logits.expand(4, -1, -1, -1), torch.cat(targets))
    assert together.item() == pytest.approx(sum(apart) / 4, abs=1e-6)


def test_a_sure_and_right_answer_costs_nothing():
    labels = torch.tensor([[0, 1, 2], [0, 1, 2]])[None, None]
    logits = 50.0 * torch.nn.functional.one_hot(labels[:, 0], 3).movedim(-1, 1)
    target = torch.cat([labels, torch.full_like(labels, NOT_STATED), torch.full_like(labels, NOT_STATED)], 1)
    assert LungHeartLoss()(logits, target).item() == pytest.approx(0, abs=1e-4)


def test_class_weights_count_in_the_cross_entropy():
    value = LungHeartLoss(dice_weight=0, class_weights=[1, 3, 1])(logits_of(LUNGS), target_of([0, 1]))
    assert value.item() == pytest.approx(-(math.log(0.7) + 3 * math.log(0.6)) / 2)


def test_class_weights_of_an_unknown_side_are_the_mean_of_both():
    value = LungHeartLoss(dice_weight=0, class_weights=[2, 1, 4])(logits_of(LUNGS), target_of([0, SIDE_UNKNOWN]))
    assert value.item() == pytest.approx(-(2 * math.log(0.7) + 2.5 * math.log(0.9)) / 2)


def test_a_class_weight_of_the_heart():
    loss, logits = LungHeartLoss(dice_weight=0, class_weights=[1, 1, 1, 5]), logits_of(LUNGS, heart=[0.4, 0.2])
    value = loss(logits, target_of(heart=[HEART, 0]))
    assert value.item() == pytest.approx(-(5 * math.log(0.4) + math.log(0.8)) / 2, abs=1e-6)


def test_class_weights_weigh_the_dice_of_the_lungs():
    logits, target = logits_of(LUNGS), target_of([2, 1])
    both, right, left = (
        LungHeartLoss(ce_weight=0, class_weights=weights)(logits, target).item()
        for weights in ([1, 3, 1], [1, 1, 0], [1, 0, 1])
    )
    assert both == pytest.approx((3 * right + left) / 4)


def test_weights_of_one_change_nothing():
    logits, target = logits_of(LUNGS, heart=[0.4, 0.2]), target_of([0, SIDE_UNKNOWN], heart=[HEART, 0])
    assert LungHeartLoss(class_weights=[1, 1, 1])(logits, target) == LungHeartLoss()(logits, target)


def test_gamma_makes_the_cross_entropy_the_focal_loss():
    value = LungHeartLoss(dice_weight=0, gamma=2)(logits_of(LUNGS), target_of([0, 1]))
    assert value.item() == pytest.approx(-(0.3**2 * math.log(0.7) + 0.4**2 * math.log(0.6)) / 2)


@pytest.mark.parametrize("weights", [[1, 2], [1, 2, 3, 4, 5], [1, -1, 1], [1, "2", 1]])
def test_class_weights_that_are_wrong(weights):
    with pytest.raises(UsageError) as refused:
        LungHeartLoss(class_weights=weights)
    assert refused.value.code == "bad-class-weights"


@pytest.mark.parametrize("lungs", [[0, 1], [0, SIDE_UNKNOWN], [NOT_STATED, 2]])
def test_another_loss_compares_the_same(lungs):
    """PyTorch's cross-entropy in the place of the own one."""
    other = LungHeartLoss(loss=torch.nn.CrossEntropyLoss())
    for logits in (logits_of(LUNGS), logits_of(LUNGS, heart=[0.4, 0.2])):
        value, expected = (loss(logits, target_of(lungs)).item() for loss in (other, LungHeartLoss(dice_weight=0)))
        assert value == pytest.approx(expected, abs=1e-5)


def test_another_loss_teaches_nothing_where_the_reference_states_nothing():
    logits = logits_of(LUNGS).requires_grad_()
    LungHeartLoss(loss=torch.nn.CrossEntropyLoss())(logits, target_of([NOT_STATED, 1])).backward()
    assert logits.grad[0, :, 0].abs().max() == 0
    assert logits.grad[0, :, 1].abs().min() > 0
