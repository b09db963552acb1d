# SPDX-License-Identifier: Apache-2.0
"""The network that estimates the Dice from the features."""

from __future__ import annotations

import torch
from torch import nn

from lungseg.quality.features import NAMES, SHAPE_SIZE, SHARES, SKEWED

_AXES = 16


_MEMBERS, _HIDDEN, _DROPOUT = 5, 16, 0.3


# Logarithms are taken of no less: one pixel more or less is noise.
_LEAST = 2e-3


class _Member(nn.Module):
    """A straight line, and a small perceptron for what it leaves: a few hundred cases are too few for one alone."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.line = nn.Linear(count, 1)
        self.bend = nn.Sequential(nn.Linear(count, _HIDDEN), nn.Tanh(), nn.Dropout(_DROPOUT), nn.Linear(_HIDDEN, 1))
        nn.init.zeros_(self.bend[-1].weight)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return (self.line(seen) + self.bend(seen))[:, 0]


class QualityNetwork(nn.Module):
    """Five regressions whose mean is the estimate; what they need to know of lungs' shapes lies in buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shape_mean", torch.zeros(2 * SHAPE_SIZE**2))
        self.register_buffer("shape_axes", torch.zeros(_AXES, 2 * SHAPE_SIZE**2))
        self.register_buffer("shape_deviation", torch.ones(_AXES))
        self.register_buffer("handed", torch.zeros(2 * SHAPE_SIZE**2))
        self.register_buffer("feature_mean", torch.zeros(len(NAMES) + 2))
        self.register_buffer("feature_deviation", torch.ones(len(NAMES) + 2))
        self.members = nn.ModuleList(_Member(len(NAMES) + 2) for _ in range(_MEMBERS))

    def shape_distance(self, shapes: torch.Tensor) -> torch.Tensor:
        """Return (B, 2): the mean squared deviation along the shapes' main axes (1 is usual), and what these leave.

        Args:
            shapes: (B, 2048) as :func:`lungseg.quality.features.shape` returns them.
        """
        centred = shapes - self.shape_mean
        along = centred @ self.shape_axes.T
        rest = centred - along @ self.shape_axes
        return torch.stack([(along / self.shape_deviation).square().mean(1), rest.square().mean(1).sqrt()], 1)

    def laterality_logit(self, shapes: torch.Tensor) -> torch.Tensor:
        """Return (B,) the logit that lungs are not mirrored: the heart takes more of the left one."""
        return antisymmetric(shapes) @ self.handed

    def forward(self, measured: torch.Tensor, shapes: torch.Tensor) -> torch.Tensor:
        """Return the estimated Dice, (B,), of `measured` (B, features) and `shapes` (B, 2048)."""
        logits = self.logits(self.seen(measured, shapes))
        return torch.stack([torch.sigmoid(estimate) for estimate in logits]).mean(0)

    def seen(self, measured: torch.Tensor, shapes: torch.Tensor) -> torch.Tensor:
        """Return what the estimate is made from, (B, features and shape_distance), on scales without long tails."""
        told = dict(zip(NAMES, measured.unbind(1), strict=True))
        told |= {name: -(1 - told[name]).clamp(min=_LEAST).log() for name in SHARES}
        told |= {name: told[name].clamp(min=_LEAST).log() for name in SKEWED}
        return torch.cat([torch.stack(list(told.values()), 1), self.shape_distance(shapes).clamp(min=_LEAST).log()], 1)

    def logits(self, seen: torch.Tensor) -> list[torch.Tensor]:
        """Return each member's estimate, (B,), before the sigmoid, of what :meth:`seen` returns."""
        # Beyond four deviations nothing was seen in fitting; a line drawn on would promise too much.
        seen = ((seen - self.feature_mean) / self.feature_deviation).clamp(-4, 4)
        return [member(seen) for member in self.members]


def antisymmetric(shapes: torch.Tensor) -> torch.Tensor:
    """Return half the difference of `shapes` (B, 2048) from what a mirror would make of them."""
    pictures = shapes.view(-1, 2, SHAPE_SIZE, SHAPE_SIZE)
    return (pictures - pictures.flip(1, 2)).flatten(1) / 2
