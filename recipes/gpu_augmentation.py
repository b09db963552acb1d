# SPDX-License-Identifier: Apache-2.0
"""The augmentation of `train.json`, for whole batches on a GPU instead of single pictures on a processor.

Pictures are (B, 1, W, H) float32 in [0, 1], label maps of the same shape hold 0, 1, 2 (or 3: side unknown), also as
float32. Randomness is PyTorch's.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F


def scale_percentiles(pictures: torch.Tensor) -> torch.Tensor:
    """Scale each picture's 0.5 to 99.5 percentile to [0, 1] and clip, from every few pixels."""
    sample = pictures.flatten(1)
    sample = sample[:, :: max(1, sample.shape[1] // 16384)]
    low, high = (sample.quantile(share, dim=1).view(-1, 1, 1, 1) for share in (0.005, 0.995))
    return ((pictures - low) / (high - low).clamp_min(1e-3)).clamp(0, 1)


def warp(pictures: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mirror half of the pictures, sides of labels too; turn, shift, scale and bend all, one in ten far more."""
    batch = len(pictures)
    mirrored = _some(pictures, 0.5)
    pictures = torch.where(mirrored, pictures.flip(2), pictures)
    swapped = torch.where((labels == 1) | (labels == 2), 3 - labels, labels)
    labels = torch.where(mirrored, swapped.flip(2), labels)

    far = _some(pictures, 0.1).view(-1)
    one = pictures.new_ones(batch)
    angle = _between(one, -0.2, 0.2) + far * _between(one, -0.5, 0.5)
    scales = [1 + _between(one, -0.2, 0.2) for _ in range(2)]
    shifts = [_between(one, -1 / 8, 1 / 8) + far * _between(one, -0.8, 0.8) for _ in range(2)]
    shear, cos, sin = _between(one, -0.05, 0.05), angle.cos(), angle.sin()
    rows = [
        [scales[0] * cos, shear - scales[1] * sin, shifts[0]],
        [shear + scales[0] * sin, scales[1] * cos, shifts[1]],
    ]
    grid = F.affine_grid(torch.stack([torch.stack(row, 1) for row in rows], 1), list(pictures.shape), False)
    strength = _some(pictures, 0.9) * _between(one, 0, 1 / 32).view(-1, 1, 1, 1)
    bend = torch.randn(batch, 2, 7, 7, device=pictures.device) * strength
    grid = grid + F.interpolate(bend, pictures.shape[2:], mode="bicubic", align_corners=True).movedim(1, -1)
    return (
        F.grid_sample(pictures, grid, align_corners=False),
        F.grid_sample(labels, grid, mode="nearest", align_corners=False),
    )


def change_looks(pictures: torch.Tensor, labels: torch.Tensor, share: float) -> torch.Tensor:
    """Give a share of the pictures, which may leave [0, 1], the looks of other hospitals."""
    lungs = (labels > 0).float()
    changed = _with_shadows(pictures, lungs)
    changed = _with_devices(changed)
    changed = _exposed(changed)
    changed = _degraded(changed)
    return torch.where(_some(pictures, share), changed, pictures)


def _with_shadows(x: torch.Tensor, lungs: torch.Tensor) -> torch.Tensor:
    """Consolidations, gas below a lung, and an effusion that whitens one side from its base up."""
    unit = x.shape[2] / 256
    near = _blurred(lungs, 6 * unit) > 0.05
    for where in (lungs > 0.5, near):
        weight = _ellipses(x, (0.1, 0.9), (0.1, 0.9), (0.03, 0.28), (0.03, 0.28)) * _each(x, 0.2, 0.9)
        opaque = torch.maximum(x, x.lerp(_each(x, 0.55, 1).expand_as(x), weight))
        x = torch.where(_some(x, 0.25) & where, opaque, x)
    weight = _ellipses(x, (0.5, 0.9), (0.6, 0.95), (0.03, 0.11), (0.03, 0.11)) * _each(x, 0.5, 1)
    gas = torch.minimum(x, x.lerp(_each(x, 0, 0.25).expand_as(x), weight))
    x = torch.where(_some(x, 0.15) & (lungs < 0.5), gas, x)

    across, down = _coordinates(x)
    side = lungs * torch.where(_some(x, 0.5), across < 0.5, across >= 0.5)
    level = _each(x, 0.2, 0.8) + _each(x, -0.5, 0.5) * (across - 0.5)
    depth = ((down - level) / _each(x, 0.02, 0.25) + 0.5).clamp(0, 1)
    weight = _each(x, 0.4, 1) * (2 * _blurred(side, 8 * unit)).clamp(0, 1) * depth
    effusion = torch.maximum(x, x.lerp(_each(x, 0.7, 1).expand_as(x), weight))
    return torch.where(_some(x, 0.1), effusion, x)


def _with_devices(x: torch.Tensor) -> torch.Tensor:
    """Bright discs and strips with sharp borders."""
    for _ in range(2):
        shape = (_ellipses(x, (0, 1), (0, 1), (0.005, 0.06), (0.005, 0.2)) > 0.5).float() * _each(x, 0.25, 1)
        x = torch.where(_some(x, 0.1), x * (1 - shape) + shape, x)
    return x


def _exposed(x: torch.Tensor) -> torch.Tensor:
    """Saturation, another curve of grey values, gamma, a bias field, local contrast."""
    low, width = _each(x, 0, 0.3), _each(x, 0.4, 1)
    x = torch.where(_some(x, 0.15), ((x - low) / torch.minimum(width, 1 - low)).clamp(0, 1), x)
    points = 6
    curve = torch.linspace(0, 1, points, device=x.device) + 0.08 * torch.randn(len(x), points, device=x.device)
    curve, position = curve.sort(1).values, x.clamp(0, 1) * (points - 1)
    left = position.floor().clamp(max=points - 2)
    ends = [curve.gather(1, (left.long() + step).flatten(1)).view_as(x) for step in (0, 1)]
    x = torch.where(_some(x, 0.3), ends[0].lerp(ends[1], position - left), x)
    x = torch.where(_some(x, 0.4), x.clamp(1e-4, 1) ** _each(x, math.log(0.4), math.log(2.5)).exp(), x)
    x = torch.where(_some(x, 0.25), x * _smooth(x, 0.3 * torch.randn(len(x), 1, 4, 4, device=x.device)).exp(), x)
    mean = _smooth(x, F.avg_pool2d(x, x.shape[2] // 8))
    return torch.where(_some(x, 0.15), 0.3 + 0.4 * mean + (x - mean) * _each(x, 0.8, 2), x)


def _degraded(x: torch.Tensor) -> torch.Tensor:
    """Few pixels, blur, noise; how few and how much blur is one for the batch."""
    factor = int(torch.randint(2, 9, ()))
    coarse = F.interpolate(F.avg_pool2d(x, factor), x.shape[2:], mode="bilinear", align_corners=False)
    x = torch.where(_some(x, 0.15), coarse, x)
    x = torch.where(_some(x, 0.15), _blurred(x, x.shape[2] / 256 * float(torch.empty(()).uniform_(0.4, 1.5))), x)
    deviation = _some(x, 0.25) * _each(x, 0, 0.06) + _some(x, 0.12) * _each(x, 0, 0.3)
    return x + deviation * torch.randn_like(x)


def _between(like: torch.Tensor, low: float, high: float) -> torch.Tensor:
    return torch.empty_like(like).uniform_(low, high)


def _each(x: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """A number for each picture, (B, 1, 1, 1)."""
    return _between(x[:, :1, :1, :1], low, high)


def _some(x: torch.Tensor, share: float) -> torch.Tensor:
    """A share of the pictures, (B, 1, 1, 1) bool."""
    return _each(x, 0, 1) < share


def _coordinates(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """From 0 to 1 across, (1, 1, W, 1), and down, (1, 1, 1, H)."""
    across, down = (torch.linspace(0, 1, n, device=x.device) for n in x.shape[2:])
    return across.view(1, 1, -1, 1), down.view(1, 1, 1, -1)


def _ellipses(x: torch.Tensor, *ranges: tuple[float, float]) -> torch.Tensor:
    """Softly bounded, rotated ellipses: ranges of the centre across and down, and of the two radii."""
    across, down = _coordinates(x)
    centre_across, centre_down, *radii = (_each(x, *one) for one in ranges)
    angle, softness = _each(x, 0, math.pi), _each(x, 0.05, 0.6)
    dx, dy = across - centre_across, down - centre_down
    u, v = (dx * angle.cos() + dy * angle.sin()) / radii[0], (dy * angle.cos() - dx * angle.sin()) / radii[1]
    rise = ((1 + softness - torch.hypot(u, v)) / (2 * softness)).clamp(0, 1)
    return rise * rise * (3 - 2 * rise)


def _smooth(x: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    return F.interpolate(coarse, x.shape[2:], mode="bicubic", align_corners=True)


def _blurred(x: torch.Tensor, sigma: float) -> torch.Tensor:
    reach = max(1, int(3 * sigma))
    kernel = torch.exp(-(torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype) ** 2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    x = F.conv2d(x, kernel.view(1, 1, -1, 1), padding=(reach, 0))
    return F.conv2d(x, kernel.view(1, 1, 1, -1), padding=(0, reach))
