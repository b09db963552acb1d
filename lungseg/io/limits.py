# SPDX-License-Identifier: Apache-2.0
"""The sizes that a radiograph can have, checked from the file and its header before anything is decoded."""

from __future__ import annotations

import math
from collections.abc import Iterable
from os import PathLike
from typing import Any

from lungseg.utils.errors import LungsegError

MIN_SIDE = 16
# MONAI crops with 16-bit coordinates.
MAX_SIDE = 32767
# The largest film (35 x 43 cm) digitised at 50 micrometres has 61 million pixels.
MAX_PIXELS = 80_000_000
# Such a film has 0.6 GB, uncompressed, with 64 bits for each grey value.
MAX_BYTES = 1_000_000_000
# Pages of a TIFF file: a picture and its previews.
MAX_PAGES = 16
# Elements of a DICOM header, on its first level; an enhanced object has hundreds.
MAX_ELEMENTS = 20_000
# Alternative windows of a DICOM file that are considered.
MAX_WINDOWS = 16
# A number in the header outside these millimetres per pixel is not the spacing of a radiograph.
_PLAUSIBLE_MM = (0.01, 5.0)
TOO_LARGE = f"give one with at most {MAX_PIXELS // 1_000_000} million pixels"


def check_size(width: int, height: int, path: str | PathLike[str]) -> None:
    """Check that a radiograph can have this size in pixels.

    Raises:
        LungsegError: the picture is too small or too large.
    """
    if min(width, height) < MIN_SIDE:
        raise LungsegError(
            f"the picture has {width} x {height} pixels, which is too small for a radiograph",
            path,
            f"give one with at least {MIN_SIDE} pixels on each side",
            code="too-small",
        )
    if width * height > MAX_PIXELS:
        raise LungsegError(
            f"the picture claims {width} x {height} pixels, which is too large for a radiograph",
            path,
            TOO_LARGE,
            code="too-large",
        )
    if max(width, height) > MAX_SIDE:
        raise LungsegError(
            f"the picture has {width} x {height} pixels, which is too long for a radiograph",
            path,
            f"give one with at most {MAX_SIDE} pixels on each side",
            code="too-large",
        )


def plausible_spacing(values: Iterable[Any]) -> tuple[float, float] | None:
    """Return the two numbers of `values`, in millimetres, or None if they cannot be the spacing of a radiograph."""
    try:
        row, column = (float(value) for value in values)
    except (TypeError, ValueError):
        return None
    low, high = _PLAUSIBLE_MM
    good = all(math.isfinite(value) and low <= value <= high for value in (row, column))
    return (row, column) if good else None
