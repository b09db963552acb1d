# SPDX-License-Identifier: Apache-2.0
"""The training loss: Dice and cross-entropy over everything that a reference states."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import nn
from torch.nn import functional as F

from lungseg.data.labels import HEART, NOT_STATED, SIDE_UNKNOWN


class LungHeartLoss(nn.Module):
    """MONAI's DiceLoss plus cross-entropy for the visible lungs, the lungs to their full extent, and the heart.

    The network outputs logits of {background, right lung, left lung} to the full extent (softmax) and of the heart
    (sigmoid), and a lung is visible where the heart does not hide it: visible = full * (1 - heart). A network without
    a heart knows one extent only. Each radiograph trains what its reference states. For lungs of unknown side the two
    probabilities are added before the comparison, as in nnU-Net's region-based training.

    Args:
        dice_weight: weight of the Dice terms.
        ce_weight: weight of the cross-entropy terms.
    """

    def __init__(self, dice_weight: float = 1.0, ce_weight: float = 1.0) -> None:
        super().__init__()
        self.dice = DiceLoss(include_background=True, reduction="none")
        self.dice_weight, self.ce_weight = dice_weight, ce_weight

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the scalar loss.

        Args:
            logits: (B, 3, W, H) float, or (B, 4, W, H) with the heart.
            target: (B, 3, W, H), any real dtype: visible lungs, lungs to the full extent, heart; with the values of
                :func:`lungseg.data.targets.read_targets`.
        """
        logits, target = torch.Tensor(logits.float()), torch.Tensor(target).long()
        full = logits[:, :3].log_softmax(1)
        visible_target, full_target, heart_target = target.split(1, 1)
        if logits.shape[1] == 3:
            # One of both is stated.
            loss = self._lungs(full, visible_target) + self._lungs(full, full_target)
        else:
            heart, no_heart = F.logsigmoid(logits[:, 3:]), F.logsigmoid(-logits[:, 3:])
            hidden = torch.logsumexp(full[:, 1:], 1, keepdim=True) + heart
            visible = torch.cat([torch.logaddexp(full[:, :1], hidden), full[:, 1:] + no_heart], 1)
            loss = self._lungs(visible, visible_target) + self._lungs(full, full_target)
            loss = loss + self._heart(torch.cat([no_heart, heart], 1), heart_target)
        return loss.mean()

    def _lungs(self, log_p: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss (B,) of the log-probabilities (B, 3, W, H) of background, right and left lung."""
        stated = target != NOT_STATED
        unknown = (target == SIDE_UNKNOWN).flatten(1).any(1)[:, None, None, None]
        sides = self._compare(log_p, target.where(target != SIDE_UNKNOWN, 0), stated & ~unknown)
        union = torch.cat([log_p[:, :1], torch.logsumexp(log_p[:, 1:], 1, keepdim=True)], 1)
        return sides + self._compare(union, (target > 0).long(), stated & unknown)

    def _heart(self, log_p: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self._compare(log_p, (target == HEART).long(), target != NOT_STATED)

    def _compare(self, log_p: torch.Tensor, target: torch.Tensor, stated: torch.Tensor) -> torch.Tensor:
        """Return Dice plus cross-entropy (B,) over the pixels that are stated; 0 for images without any."""
        known = stated.float()
        target = target.where(stated, 0)
        cross_entropy = -(log_p.gather(1, target) * known).mean((1, 2, 3))
        one_hot = F.one_hot(target[:, 0], log_p.shape[1]).movedim(-1, 1).float()
        # The Dice of an empty reference is noise: a pixel too many is as bad as a whole lung.
        present = (one_hot[:, 1:] * known).flatten(2).any(2).float()
        dice = self.dice(log_p.exp()[:, 1:] * known, one_hot[:, 1:] * known).flatten(1)
        dice = (dice * present).sum(1) / present.sum(1).clamp(min=1)
        loss: torch.Tensor = self.dice_weight * dice + self.ce_weight * cross_entropy
        return loss
