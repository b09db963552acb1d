# SPDX-License-Identifier: Apache-2.0
"""The part of a radiograph that holds the lungs, with a margin, for programs that classify it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg.utils.errors import LungsegError, UsageError

# First column, first row, width and height, in pixels of the radiograph.
Box = tuple[int, int, int, int]

_BYTE, _WORD = 255, 65535


@dataclass(frozen=True, eq=False)
class Crop:
    """A part of a radiograph.

    Attributes:
        pixels: (h, w) uint8 or uint16, see `as_png_values`.
        x, y: its first column and row in the radiograph.
    """

    pixels: NDArray[np.uint8 | np.uint16]
    x: int
    y: int


def crop_to(box: Box, pixels: NDArray[np.float32], inverted: bool = False) -> Crop:
    """Cut a radiograph to a box.

    Args:
        box: see `lung_box`.
        pixels: (H, W) float32, the radiograph in the units of its file.
        inverted: the picture's grey values are inverted; those of the crop are not.
    """
    x, y, width, height = box
    values = as_png_values(pixels, inverted)[y : y + height, x : x + width]
    return Crop(np.ascontiguousarray(values), x, y)


def lung_box(lungs: NDArray[np.uint8], margin: float) -> Box:
    """Return the box of the lungs with a margin: first column, first row, width and height.

    Args:
        lungs: (H, W), not zero where a lung is.
        margin: share of the width of the lungs' box that is added on its left and on its right, and of its height that
            is added above and below it, as far as the picture goes.

    Raises:
        UsageError: the margin is not a number from 0 to 1.
        LungsegError: there is no lung.
    """
    check_margin(margin)
    rows, columns = np.flatnonzero(lungs.any(axis=1)), np.flatnonzero(lungs.any(axis=0))
    if not rows.size:
        raise LungsegError("no lung was found", remedy="look at the picture", code="no-lung-found")
    (top, bottom), (left, right) = (
        _widen(lines, margin, size) for lines, size in zip((rows, columns), lungs.shape, strict=True)
    )
    return left, top, right - left, bottom - top


def check_margin(margin: float) -> None:
    """Raise UsageError if the margin is not a number from 0 to 1."""
    if not 0 <= margin <= 1:
        what = f"the margin of a crop cannot be {margin}"
        raise UsageError(what, remedy="use a number from 0 to 1", code="crop-margin-out-of-range")


def as_png_values(pixels: NDArray[np.float32], inverted: bool = False) -> NDArray[np.uint8 | np.uint16]:
    """Return grey values as a PNG file can hold them.

    Whole numbers from 0 to 255 are kept, as uint8, and whole numbers from 0 to 65535, as uint16. Others, such as
    negative numbers and fractions, are mapped: the picture's lowest value to 0 and its highest one to 65535, linearly.

    Args:
        pixels: (H, W) float32, the whole radiograph: a part of it could have other extremes.
        inverted: mirror the values between the lowest and the highest one.
    """
    low, high = float(pixels.min()), float(pixels.max())
    if inverted:
        pixels = np.subtract(np.float32(low + high), pixels)
    if low >= 0 and high <= _WORD:
        kept: NDArray[np.uint8 | np.uint16] = pixels.astype(np.uint8 if high <= _BYTE else np.uint16)
        if np.array_equal(kept, pixels):
            return kept
    # Without an error of rounding, and without a division by zero where all values are the same.
    scaled = (pixels.astype(np.float64) - low) / ((high - low) or 1.0) * _WORD
    return np.asarray(np.rint(scaled).clip(0, _WORD), dtype=np.uint16)


def _widen(lines: NDArray[np.int64], margin: float, size: int) -> tuple[int, int]:
    """Return the first row or column of `lines`, and the one after the last, with the margin on both sides."""
    first, stop = int(lines[0]), int(lines[-1]) + 1
    added = round(margin * (stop - first))
    return max(0, first - added), min(size, stop + added)
