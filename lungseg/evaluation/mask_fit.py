# SPDX-License-Identifier: Apache-2.0
"""How well a mask fits lungs that were found, as it is, turned, mirrored and shifted.

Both are compared on a grid of one size, whatever the sizes of mask and image: a turn of a picture that is not square is
a turn of the grid, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GRID = 128
# Shifts of up to this share of a side are tried.
_FARTHEST = GRID // 4

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Orientation:
    """One of the seven ways to turn or mirror a mask.

    Attributes:
        name: for codes.
        described: how a mask is that was drawn upright and then changed so.
        remedy: how to change it back.
        undo: changes a mask back, (H, W) to (H, W) or (W, H).
        transposes: whether it exchanges width and height.
    """

    name: str
    described: str
    remedy: str
    undo: Callable[[Mask], Mask]
    transposes: bool


ORIENTATIONS = (
    Orientation("turned-180", "turned by 180 degrees", "turn them by 180 degrees", lambda m: m[::-1, ::-1], False),
    Orientation("mirrored", "mirrored", "exchange left and right", lambda m: m[:, ::-1], False),
    Orientation("upside-down", "upside down", "exchange top and bottom", lambda m: m[::-1], False),
    Orientation(
        "turned-90-clockwise",
        "turned by 90 degrees clockwise",
        "turn them by 90 degrees counter-clockwise",
        lambda m: np.rot90(m),
        True,
    ),
    Orientation(
        "turned-90-counter-clockwise",
        "turned by 90 degrees counter-clockwise",
        "turn them by 90 degrees clockwise",
        lambda m: np.rot90(m, -1),
        True,
    ),
    Orientation("transposed", "transposed", "exchange rows and columns", lambda m: m.T, True),
    Orientation(
        "transposed-and-turned",
        "transposed and turned by 180 degrees",
        "exchange rows and columns, and turn them by 180 degrees",
        lambda m: m[::-1, ::-1].T,
        True,
    ),
)


class Shift(NamedTuple):
    """The shift with which a mask fits best.

    Attributes:
        dice: with it.
        right, down: how far the mask lies from its place, as a share of the width and of the height.
    """

    dice: float
    right: float
    down: float


def on_grid(mask: Mask) -> Mask:
    """Return a mask (H, W) on the grid: (GRID, GRID) bool."""
    size, values = (GRID, GRID), np.where(mask, np.uint8(255), np.uint8(0))
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX)) > 127


def dice(one: Mask, other: Mask) -> float:
    """Return the Dice coefficient of two masks of one size; 0 if both are empty."""
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * np.count_nonzero(one & other) / total if total else 0.0


def best_shift(mask: Mask, lungs: Mask) -> Shift:
    """Return the best shift of a mask, found by cross-correlation (Fourier transform); both are on the grid."""
    padded = (2 * GRID, 2 * GRID)
    one, other = (np.fft.rfft2(part.astype(np.float32), padded) for part in (mask, lungs))
    overlap = np.fft.irfft2(other * np.conj(one), padded)
    steps = np.r_[0 : _FARTHEST + 1, -_FARTHEST:0]
    overlap = overlap[np.ix_(steps, steps)]
    down, right = np.unravel_index(overlap.argmax(), overlap.shape)
    total = np.count_nonzero(mask) + np.count_nonzero(lungs)
    shared = float(overlap[down, right])
    # The mask has to be moved by these steps, so that it lies as far on the other side.
    return Shift(2 * shared / total if total else 0.0, -steps[right] / GRID, -steps[down] / GRID)
