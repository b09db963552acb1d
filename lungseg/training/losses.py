# SPDX-License-Identifier: Apache-2.0
"""The training loss: Dice and cross-entropy, also for references of unknown laterality."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import nn
from torch.nn import functional as F

from lungseg.data.labels import SIDE_UNKNOWN


class LungDiceCELoss(nn.Module):
    """MONAI's DiceLoss plus cross-entropy over background, right lung and left lung.

    For a reference of unknown laterality (label 3) the two lung probabilities are added before the comparison, so it
    trains the union only. This is region-based training as in nnU-Net.

    Args:
        dice_weight: weight of the Dice term.
        ce_weight: weight of the cross-entropy term.
    """

    def __init__(self, dice_weight: float = 1.0, ce_weight: float = 1.0) -> None:
        super().__init__()
        self.dice = DiceLoss(include_background=False, reduction="none")
        self.dice_weight, self.ce_weight = dice_weight, ce_weight

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the scalar loss.

        Args:
            logits: (B, 3, W, H) float.
            target: (B, 1, W, H), values 0, 1, 2, or 0 and 3 where the side is unknown; any real dtype.
        """
        logits, target = torch.Tensor(logits.float()), torch.Tensor(target).long()
        unknown = (target == SIDE_UNKNOWN).flatten(1).any(1)
        log_p = logits.log_softmax(1)
        log_union = torch.logsumexp(log_p[:, 1:], 1, keepdim=True)
        cross_entropy = -torch.cat([log_p, log_union], 1).gather(1, target).mean()

        p, one_hot = log_p.exp(), F.one_hot(target[:, 0], 4).movedim(-1, 1).float()
        terms = []
        if not unknown.all():
            terms.append(self.dice(p[~unknown], one_hot[~unknown, :3]).mean((1, 2, 3)))
        if unknown.any():
            union = p[unknown, 1:].sum(1, keepdim=True)
            reference = one_hot[unknown, 1:].sum(1, keepdim=True)
            terms.append(
                self.dice(torch.cat([1 - union, union], 1), torch.cat([1 - reference, reference], 1)).mean((1, 2, 3))
            )
        loss: torch.Tensor = self.dice_weight * torch.cat(terms).mean() + self.ce_weight * cross_entropy
        return loss
