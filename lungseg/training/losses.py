# SPDX-License-Identifier: Apache-2.0
"""The training loss: Dice and cross-entropy over everything that a reference states."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.losses import DiceLoss
from monai.utils import convert_to_tensor
from torch import nn
from torch.nn import functional as F

from lungseg.data.labels import HEART, NOT_STATED, SIDE_UNKNOWN
from lungseg.data.targets import FULL, HEARTS, VISIBLE
from lungseg.utils.errors import UsageError

# Logarithm of a probability that is next to nothing, also in a sum over all pixels.
_NEVER = -30.0


class LungHeartLoss(nn.Module):
    """MONAI's DiceLoss plus cross-entropy for the visible lungs, the lungs to their full extent, and the heart.

    The network outputs logits of {background, right lung, left lung} to the full extent (softmax) and of the heart
    (sigmoid), and a lung is visible where the heart does not hide it: visible = full * (1 - heart). A network without
    a heart knows one extent only. Each radiograph trains what its reference states. For lungs of unknown side the two
    probabilities are added before the comparison, as in nnU-Net's region-based training.

    Args:
        dice_weight: weight of the Dice terms.
        ce_weight: weight of the cross-entropy terms.
        gamma: above 0, the cross-entropy is the focal loss with this exponent (https://arxiv.org/abs/1708.02002).
        class_weights: how much background, right lung and left lung count in both terms, and a fourth number for the
            heart, by default 1 each.
        loss: another loss instead of Dice and cross-entropy. It is called for each image and everything that the
            reference states with logits and a one-hot reference, both (1, C, W, H) float32: C is 3 for background,
            right and left lung, or 2 for background and lungs where the sides are unknown, or for the heart. It returns
            one number. Where the reference states nothing, both are background.

    Raises:
        UsageError: the class weights are not three or four numbers of at least 0 (bad-class-weights).
    """

    def __init__(
        self,
        dice_weight: float = 1.0,
        ce_weight: float = 1.0,
        gamma: float = 0.0,
        class_weights: Sequence[float] | None = None,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.dice = DiceLoss(include_background=True, reduction="none")
        self.dice_weight, self.ce_weight, self.gamma, self.loss = dice_weight, ce_weight, gamma, loss
        self.lungs_weights = self.union_weights = self.heart_weights = None
        if class_weights is not None:
            background, right, left, heart = _four_weights(class_weights)
            self.lungs_weights = [background, right, left]
            self.union_weights = [background, (right + left) / 2]
            self.heart_weights = [background, heart]

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the scalar loss.

        Args:
            logits: (B, 3, W, H) float, or (B, 4, W, H) with the heart.
            target: (B, 3, W, H), any real dtype: visible lungs, lungs to the full extent, heart; with the values of
                :func:`lungseg.data.targets.read_targets`.
        """
        logits = convert_to_tensor(logits, dtype=torch.float32, track_meta=False)
        target = convert_to_tensor(target, dtype=torch.uint8, track_meta=False)
        log_p = logits[:, :3].log_softmax(1)
        loss = logits.new_zeros(len(logits))
        if logits.shape[1] == 3:
            # One of both extents is stated.
            loss = self._add(loss, self._lungs, target[:, VISIBLE], log_p)
            loss = self._add(loss, self._lungs, target[:, FULL], log_p)
        else:
            loss = self._add(loss, self._visible, target[:, VISIBLE], log_p, logits[:, 3])
            loss = self._add(loss, self._lungs, target[:, FULL], log_p)
            loss = self._add(loss, self._heart, target[:, HEARTS], logits[:, 3])
        return loss.mean()

    @staticmethod
    def _add(
        loss: torch.Tensor, part: Callable[..., torch.Tensor], target: torch.Tensor, *outputs: torch.Tensor
    ) -> torch.Tensor:
        """Add a part of the loss, (n,), to the loss (B,) of those images whose `target` (B, W, H) states something."""
        stating = (target != NOT_STATED).flatten(1).any(1).nonzero()[:, 0]
        if not len(stating):
            return loss
        return loss.index_add(0, stating, part(target[stating], *(output[stating] for output in outputs)))

    def _visible(self, target: torch.Tensor, log_p: torch.Tensor, heart: torch.Tensor) -> torch.Tensor:
        lungs = log_p[:, 1:]
        hidden = torch.logaddexp(lungs[:, 0], lungs[:, 1]) + F.logsigmoid(heart)
        background = torch.logaddexp(log_p[:, 0], hidden)
        return self._lungs(target, torch.cat([background[:, None], lungs + F.logsigmoid(-heart)[:, None]], 1))

    def _lungs(self, target: torch.Tensor, log_p: torch.Tensor) -> torch.Tensor:
        """Compare the log-probabilities (n, 3, W, H) of background, right and left lung with labels (n, W, H)."""
        unknown = (target == SIDE_UNKNOWN).flatten(1).any(1)
        regions = [target == label for label in range(3)]
        loss = self._compare(log_p, torch.stack(regions, 1), target != NOT_STATED, self.lungs_weights)
        if not unknown.any():
            return loss
        union = torch.stack([log_p[:, 0], torch.logaddexp(log_p[:, 1], log_p[:, 2])], 1)
        lungs = torch.stack([regions[0], (target > 0) & (target != NOT_STATED)], 1)
        return torch.where(unknown, self._compare(union, lungs, target != NOT_STATED, self.union_weights), loss)

    def _heart(self, target: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        log_p = torch.stack([F.logsigmoid(-logits), F.logsigmoid(logits)], 1)
        regions = torch.stack([target == 0, target == HEART], 1)
        return self._compare(log_p, regions, target != NOT_STATED, self.heart_weights)

    def _compare(
        self, log_p: torch.Tensor, regions: torch.Tensor, stated: torch.Tensor, weights: list[float] | None
    ) -> torch.Tensor:
        """Return Dice plus cross-entropy, or the other loss, (n,).

        Args:
            log_p: (n, C, W, H), the background first.
            regions: (n, C, W, H) bool, which class the reference states.
            stated: (n, W, H) bool, where it states one.
            weights: of the C classes.
        """
        if self.loss is not None:
            return _compare_with(self.loss, log_p, regions, stated)
        reference, known = regions.float(), stated[:, None].float()
        terms = log_p * reference
        if self.gamma > 0:
            terms = terms * (1 - log_p.exp()) ** self.gamma
        # The Dice of an empty reference is noise: a pixel too many is as bad as a whole lung.
        present = regions[:, 1:].flatten(2).any(2).float()
        if weights is not None:
            counts = log_p.new_tensor(weights)
            terms, present = terms * counts[:, None, None], present * counts[1:]
        cross_entropy = -terms.sum((1, 2, 3)) / stated[0].numel()
        dice = self.dice(log_p[:, 1:].exp() * known, reference[:, 1:]).flatten(1)
        # Without a lung there is no Dice; without weights the sum is a whole number.
        dice = (dice * present).sum(1) / torch.where(present.sum(1) > 0, present.sum(1), 1)
        loss: torch.Tensor = self.dice_weight * dice + self.ce_weight * cross_entropy
        return loss


def _four_weights(weights: Sequence[float]) -> list[float]:
    four = [*weights, 1.0] if len(weights) == 3 else list(weights)
    if len(four) != 4 or not all(isinstance(one, int | float) and one >= 0 for one in four):
        remedy = "give three numbers of at least 0, for background, right and left lung, and a fourth for the heart"
        raise UsageError(f"class_weights={list(weights)} cannot be used", remedy=remedy, code="bad-class-weights")
    return four


def _compare_with(
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    log_p: torch.Tensor,
    regions: torch.Tensor,
    stated: torch.Tensor,
) -> torch.Tensor:
    """Return another loss of each image, (n,); see the arguments of `LungHeartLoss._compare`."""
    if isinstance(loss, nn.Module):
        loss.to(log_p.device)
    known = stated[:, None]
    # A network that is sure: its gradient is zero here.
    sure = log_p.new_full((1, log_p.shape[1], 1, 1), _NEVER)
    sure[:, 0] = 0.0
    logits, reference = torch.where(known, log_p, sure), regions.float()
    reference[:, :1] += ~known
    return torch.stack([loss(logits[one : one + 1], reference[one : one + 1]) for one in range(len(logits))])
