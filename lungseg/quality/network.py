# SPDX-License-Identifier: Apache-2.0
"""The network that estimates the Dice of a segmentation from its features, and a lower bound of it.

The bound is a conformalised quantile (Romano, Patterson and Candès, 2019): a regression to the lower tenth, moved by
the distance that makes it hold for nine in ten radiographs that were not used to fit it.
"""

from __future__ import annotations

import torch
from torch import nn

from lungseg.quality.features import NAMES, SHAPE_SIZE, SHARES, SKEWED

_AXES = 16
_MEMBERS, _HIDDEN, _DROPOUT = 5, 16, 0.3
# Smaller values are raised to this before the logarithm: a difference of one pixel is noise.
_LEAST = 2e-3


class _Member(nn.Module):
    """Linear regression plus a small MLP on the residual; a few hundred cases are too few for an MLP alone."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.line = nn.Linear(count, 2)
        last = nn.Linear(_HIDDEN, 2)
        self.bend = nn.Sequential(nn.Linear(count, _HIDDEN), nn.Tanh(), nn.Dropout(_DROPOUT), last)
        nn.init.zeros_(last.weight)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        estimate: torch.Tensor = self.line(inputs) + self.bend(inputs)
        return estimate


class QualityNetwork(nn.Module):
    """Five regressions whose mean is the estimate; buffers hold the model of the lungs' shape."""

    def __init__(self) -> None:
        super().__init__()
        self.shape_mean: torch.Tensor
        self.shape_axes: torch.Tensor
        self.shape_deviation: torch.Tensor
        self.handed: torch.Tensor
        self.feature_mean: torch.Tensor
        self.feature_deviation: torch.Tensor
        self.shift: torch.Tensor
        self.register_buffer("shape_mean", torch.zeros(2 * SHAPE_SIZE**2))
        self.register_buffer("shape_axes", torch.zeros(_AXES, 2 * SHAPE_SIZE**2))
        self.register_buffer("shape_deviation", torch.ones(_AXES))
        self.register_buffer("handed", torch.zeros(2 * SHAPE_SIZE**2))
        self.register_buffer("feature_mean", torch.zeros(len(NAMES) + 2))
        self.register_buffer("feature_deviation", torch.ones(len(NAMES) + 2))
        self.register_buffer("shift", torch.zeros(()))
        self.members = nn.ModuleList(_Member(len(NAMES) + 2) for _ in range(_MEMBERS))

    def shape_distance(self, shapes: torch.Tensor) -> torch.Tensor:
        """Return (B, 2): the mean squared deviation along the shapes' main axes (usually 1), and the residual.

        Args:
            shapes: (B, 2048), see :func:`lungseg.quality.features.shape`.
        """
        centred = shapes - self.shape_mean
        along = centred @ self.shape_axes.T
        rest = centred - along @ self.shape_axes
        return torch.stack([(along / self.shape_deviation).square().mean(1), rest.square().mean(1).sqrt()], 1)

    def outline(self, shape: torch.Tensor) -> dict[str, float]:
        """Return `shape_distance`, `residual` and `laterality_logit` of one shape, (1, 2048), for the flags."""
        distance, residual = self.shape_distance(shape)[0].tolist()
        laterality = float(self.laterality_logit(shape))
        return {"shape_distance": distance, "residual": residual, "laterality_logit": laterality}

    def laterality_logit(self, shapes: torch.Tensor) -> torch.Tensor:
        """Return (B,) the logit that lungs are not mirrored: the heart makes the left lung smaller."""
        return antisymmetric(shapes) @ self.handed

    def forward(self, measured: torch.Tensor, shapes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the estimated Dice and its lower bound, (B,) each.

        Args:
            measured: (B, features), see :data:`lungseg.quality.features.NAMES`.
            shapes: (B, 2048), see :func:`lungseg.quality.features.shape`.
        """
        estimate, lowest = self.logits(self.inputs(measured, shapes)).mean(0).unbind(1)
        quality = estimate.sigmoid()
        # The regressions may cross, but a bound above the estimate would contradict it.
        return quality, torch.minimum((lowest - self.shift).sigmoid(), quality)

    def inputs(self, measured: torch.Tensor, shapes: torch.Tensor) -> torch.Tensor:
        """Return the inputs of the regressions, (B, features and shape distances), on scales without long tails."""
        values = dict(zip(NAMES, measured.unbind(1), strict=True))
        values |= {name: -(1 - values[name]).clamp(min=_LEAST).log() for name in SHARES}
        values |= {name: values[name].clamp(min=_LEAST).log() for name in SKEWED}
        return torch.cat(
            [torch.stack(list(values.values()), 1), self.shape_distance(shapes).clamp(min=_LEAST).log()], 1
        )

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return each member's estimate and lower tenth before the sigmoid, (members, B, 2), from :meth:`inputs`."""
        # Fitting saw nothing beyond four deviations; extrapolation would promise too much.
        inputs = ((inputs - self.feature_mean) / self.feature_deviation).clamp(-4, 4)
        return torch.stack([member(inputs) for member in self.members])


def antisymmetric(shapes: torch.Tensor) -> torch.Tensor:
    """Return half the difference between `shapes`, (B, 2048), and their mirror images."""
    pictures = shapes.view(-1, 2, SHAPE_SIZE, SHAPE_SIZE)
    return (pictures - pictures.flip(1, 2)).flatten(1) / 2
