# SPDX-License-Identifier: Apache-2.0
"""Fit the network that estimates quality to rows of results, and the distance that makes its lower bound hold."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn.functional import softplus

from lungseg.quality.network import QualityNetwork, antisymmetric
from recipes.quality_rows import UNDAMAGED, WRONG, Rows

_STEPS, _HANDED_AXES = 600, 32
# The bound holds for this share of radiographs.
COVERAGE = 0.9
# Results of this Dice show the shape of lungs.
_GOOD = 0.95
# On the logit scale a Dice beyond these is as good or as bad as one of them.
_LEAST, _MOST = 0.02, 0.99


def fit(rows: Rows, steps: int = _STEPS) -> QualityNetwork:
    """Return a network fitted to rows; its lower bound is a regression that nothing has moved yet."""
    torch.manual_seed(0)
    network = QualityNetwork()
    _fit_shape(network, torch.from_numpy(rows.shape[(rows.kind == UNDAMAGED) & (rows.dice > _GOOD)]))
    # An empty segmentation needs no estimate: it is worth nothing.
    rows = rows.where(rows.shape.sum(1) > 0)
    target = torch.logit(torch.from_numpy(rows.dice).float().clamp(_LEAST, _MOST))
    seen = network.inputs(torch.from_numpy(rows.features), torch.from_numpy(rows.shape))
    network.feature_mean[:], network.feature_deviation[:] = seen.mean(0), seen.std(0).clamp(1e-6)
    # Regularise the perceptron only, not the line.
    groups = [{"params": member.line.parameters(), "weight_decay": 0.0} for member in network.members]
    groups += [{"params": member.bend.parameters(), "weight_decay": 0.3} for member in network.members]
    optimizer = torch.optim.AdamW(groups, lr=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    shares = _shares(rows)
    draws = [torch.multinomial(shares, len(rows), replacement=True) for _ in network.members]
    weights = torch.stack([torch.bincount(draw, minlength=len(rows)).float() for draw in draws])
    for _ in range(steps):
        over = network.logits(seen) - target[:, None]
        # The median, and the quantile that COVERAGE of all results lie above (Koenker and Bassett, 1978).
        errors = over[..., 0].abs() + 2 * torch.maximum(COVERAGE * over[..., 1], (COVERAGE - 1) * over[..., 1])
        loss = (weights * errors).mean(1).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def estimate(network: QualityNetwork, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return the estimated Dice and its lower bound, (N,) each; 0 where no lung was found."""
    found = torch.from_numpy(rows.shape).sum(1) > 0
    estimates = network(torch.from_numpy(rows.features), torch.from_numpy(rows.shape))
    quality, lower = (torch.where(found, one, 0.0).numpy() for one in estimates)
    return quality, lower


def conformal_shift(scored: list[tuple[QualityNetwork, Rows]]) -> float:
    """Return how far, on the logit scale, the lower bound must move down to hold for COVERAGE of every source.

    Split conformal prediction: the distance is a quantile of how far results that were not fitted lie below the bound.
    Radiographs of a further hospital are not exchangeable with those of the sources, but a source that was left out is
    such a hospital; the greatest distance that one of them needs is taken.

    Args:
        scored: a network that was fitted without a source, and the undamaged results of that source; for each source.
    """
    return max(_distance(network, rows) for network, rows in scored)


@torch.no_grad()
def _distance(network: QualityNetwork, rows: Rows) -> float:
    rows = rows.where(rows.shape.sum(1) > 0)
    inputs = network.inputs(torch.from_numpy(rows.features), torch.from_numpy(rows.shape))
    lowest = network.logits(inputs).mean(0)[:, 1].numpy()
    over = np.sort(lowest - np.log(rows.dice / (1 - rows.dice)).clip(-20, 20))
    # The finite-sample correction of split conformal prediction.
    rank = min(math.ceil((len(over) + 1) * COVERAGE), len(over))
    return float(over[rank - 1])


def _shares(rows: Rows) -> torch.Tensor:
    """Weights by which undamaged radiographs of a source, its corrupted ones, and all wrong images count alike."""
    undamaged = np.where(rows.kind == UNDAMAGED, "undamaged", "corrupted")
    groups = np.where(rows.kind == WRONG, WRONG, np.char.add(rows.source, undamaged))
    _, group, count = np.unique(groups, return_inverse=True, return_counts=True)
    return torch.from_numpy(1 / count[group]).float()


def _fit_shape(network: QualityNetwork, known: torch.Tensor) -> None:
    network.shape_mean[:] = known.mean(0)
    count = len(network.shape_axes)
    _, scale, axes = torch.linalg.svd(known - known.mean(0), full_matrices=False)
    network.shape_axes[:] = axes[:count]
    network.shape_deviation[:] = scale[:count] / len(known) ** 0.5
    network.handed[:] = _handed(known)


def _handed(shapes: torch.Tensor) -> torch.Tensor:
    """The direction in which shapes differ most surely from their mirror images, by logistic regression."""
    differences = antisymmetric(shapes)
    axes = torch.linalg.svd(differences, full_matrices=False)[2][:_HANDED_AXES]
    along = differences @ axes.T
    scale = along.std(0)
    slope = torch.zeros(len(axes), requires_grad=True)
    optimizer = torch.optim.LBFGS([slope], max_iter=200)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = softplus(-(along / scale) @ slope).mean() + 3e-3 * slope.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return (slope.detach() / scale) @ axes
