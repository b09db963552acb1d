# SPDX-License-Identifier: Apache-2.0
"""The sizes that a radiograph can have; asked of the file and its header, before anything is decoded."""

from __future__ import annotations

import math
from os import PathLike

from lungseg.utils.errors import LungsegError

MIN_SIDE = 16
# MONAI crops by numbers of 16 bits.
MAX_SIDE = 32767
# The largest film (35 x 43 cm) digitised at 50 micrometres has 61 million pixels.
MAX_PIXELS = 80_000_000
# Uncompressed, with 64 bits for each grey value, such a film has 0.6 GB.
MAX_BYTES = 1_000_000_000
# Beyond these millimetres per pixel a number in the header is no spacing of a radiograph.
_PLAUSIBLE_MM = (0.01, 5.0)
TOO_LARGE = f"give one with at most {MAX_PIXELS // 1_000_000} million pixels"


def check_size(width: int, height: int, path: str | PathLike) -> None:
    """Raise LungsegError when a picture of this size, in pixels, is no radiograph."""
    if min(width, height) < MIN_SIDE:
        raise LungsegError(
            f"the picture has {width} x {height} pixels, which is too small for a radiograph",
            path,
            f"give one with at least {MIN_SIDE} pixels on each side",
        )
    if width * height > MAX_PIXELS:
        raise LungsegError(
            f"the picture claims {width} x {height} pixels, which is too large for a radiograph",
            path,
            TOO_LARGE,
        )
    if max(width, height) > MAX_SIDE:
        raise LungsegError(
            f"the picture has {width} x {height} pixels, which is too long for a radiograph",
            path,
            f"give one with at most {MAX_SIDE} pixels on each side",
        )


def plausible_spacing(values) -> tuple[float, float] | None:
    """Return the two numbers of `values`, in millimetres, or None when they cannot be a radiograph's spacing."""
    try:
        row, column = (float(value) for value in values)
    except (TypeError, ValueError):
        return None
    low, high = _PLAUSIBLE_MM
    good = all(math.isfinite(value) and low <= value <= high for value in (row, column))
    return (row, column) if good else None
