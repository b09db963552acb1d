# SPDX-License-Identifier: Apache-2.0
"""Drawn pictures that are not frontal chest radiographs: whatever a stranger may send, as far as it can be drawn.

Few real wrong images exist that may be used. A network that has seen only those takes the rest of the world for chests;
shapes, textures, pages and limbs drawn at random show it more of that rest (domain randomisation: Tobin et al.,
"Domain Randomization for Transferring Deep Neural Networks from Simulation to the Real World", IROS 2017).
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from lungseg.quality.recognition import SIZE

_AXIS = torch.linspace(-1, 1, SIZE)


def drawn_images(count: int) -> torch.Tensor:
    """Return (B, 1, 64, 64) float32 pictures from 0 to 1, each of a kind chosen at random."""
    kinds = torch.stack([_textures(count), _shapes(count), _limbs(count), _pages(count)])
    images = kinds[torch.randint(len(kinds), (count,)), torch.arange(count)]
    low, high = images.amin((1, 2), keepdim=True), images.amax((1, 2), keepdim=True)
    return ((images - low) / (high - low).clamp(1e-6))[:, None]


def _between(count: int, low: float, high: float) -> torch.Tensor:
    return torch.empty(count, 1, 1).uniform_(low, high)


def _textures(count: int) -> torch.Tensor:
    """Noise of a random power spectrum: from grain to clouds."""
    frequency = torch.hypot(torch.fft.fftfreq(SIZE)[:, None], torch.fft.rfftfreq(SIZE)).clamp(1 / SIZE)
    spectrum = torch.fft.rfft2(torch.randn(count, SIZE, SIZE)) * frequency ** -_between(count, 0, 3)
    return torch.fft.irfft2(spectrum)


def _shapes(count: int) -> torch.Tensor:
    """Ellipses and boxes of random grey values upon each other over a texture; half are symmetric, as bodies are."""
    images = _scaled(_textures(count)) * _between(count, 0, 0.6)
    for _ in range(8):
        x, y = _turned(count)
        width, height = _between(count, 0.05, 0.9), _between(count, 0.05, 0.9)
        round_, boxed = (x / width) ** 2 + (y / height) ** 2, torch.maximum((x / width).abs(), (y / height).abs()) ** 2
        inside = torch.sigmoid((1 - torch.where(torch.rand(count, 1, 1) < 0.6, round_, boxed)) * _between(count, 3, 40))
        inside = inside * (torch.rand(count, 1, 1) < 0.7) * _between(count, 0.3, 1)
        images = images + inside * (torch.rand(count, 1, 1) - images)
    symmetric = torch.rand(count, 1, 1) < 0.5
    return torch.where(symmetric, (images + images.flip(1)) / 2, images)


def _limbs(count: int) -> torch.Tensor:
    """Radiographs of limbs: one to five soft parts in dark air, with long light bones in them."""
    images = torch.rand(count, SIZE, SIZE) * 0.05
    slope = _between(count, -0.4, 0.4)
    for place in range(5):
        x, y = _AXIS[:, None] - _between(count, -0.8, 0.8) - slope * _AXIS, _AXIS + _between(count, -0.5, 0.5)
        width, length = _between(count, 0.08, 0.5), _between(count, 0.5, 1.8)
        soft = torch.sigmoid(20 * (1 - (x / width) ** 2 - (y / length) ** 6))
        gap = torch.sigmoid(30 * ((y - _between(count, -0.6, 0.6)).abs() - 0.03))
        shaft = torch.sigmoid(20 * (1 - (x / (width * _between(count, 0.3, 0.6))) ** 2)) * gap * soft
        marrow = torch.sigmoid(20 * (1 - (x / (width * 0.2)) ** 2)) * 0.4
        limb = 0.35 * soft + 0.6 * shaft * (1 - marrow)
        images = images + limb * ((torch.rand(count, 1, 1) < 0.5) if place else 1)
    return images


def _pages(count: int) -> torch.Tensor:
    """Lines of words, tables and stripes, dark on light or light on dark."""
    period = torch.randint(2, 9, (count, 1, 1))
    lines = torch.arange(SIZE) % period < (period + 1) // 2
    words = F.interpolate(torch.rand(count, 1, SIZE // 4, SIZE // 4), SIZE)[:, 0] < _between(count, 0.5, 1)
    page = 1 - (lines & words).float() * _between(count, 0.3, 1)
    return torch.where(_AXIS[:, None].abs() < _between(count, 0.5, 1), page, 1.0)


def _scaled(images: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(images / images.std((1, 2), keepdim=True).clamp(1e-6))


def _turned(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return coordinates (B, 64, 64) of a frame that is moved and turned at random."""
    angle = _between(count, 0, torch.pi)
    x, y = _AXIS[:, None] - _between(count, -0.9, 0.9), _AXIS - _between(count, -0.9, 0.9)
    return x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
