# SPDX-License-Identifier: Apache-2.0
"""The sizes that a radiograph can have; asked of the header, before anything is decoded."""

from __future__ import annotations

from os import PathLike

from lungseg.errors import LungsegError

MIN_SIDE = 16
# The largest film (35 x 43 cm) digitised at 50 micrometres has 61 million pixels.
MAX_PIXELS = 80_000_000
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
