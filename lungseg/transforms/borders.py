# SPDX-License-Identifier: Apache-2.0
"""Take uniform borders off a picture: letterboxing, collimator bars, frames or unexposed film."""

from __future__ import annotations

import numpy as np

from lungseg.transforms.filters import add_up

# A rectangle of an array: a slice of each axis.
Box = tuple[slice, slice]
# Borders are searched in this number of pieces of a line, each with this number of pixels.
_PIECES, _PIXELS = 64, 8


def within(outer: Box, inner: Box) -> Box:
    """Return the rectangle `inner` of the part `outer` of an array as a rectangle of that array."""
    first, second = (slice(o.start + i.start, o.start + i.stop) for o, i in zip(outer, inner, strict=True))
    return first, second


def without_borders(pixels: np.ndarray, tolerance: float = 0.04, share: float = 0.05) -> Box:
    """Find the rectangle inside uniform borders.

    The lines (rows or columns) of a border have the grey value of the outermost line, except on a `share` of their
    length, so that burnt-in text does not hide the border. Grey values are means of short pieces of a line, so that
    noise does not hide it. Borders are taken off until none is left: under a title bar lies a frame.

    Args:
        pixels: (W, H) of any real dtype.
        tolerance: largest difference of equal greys, relative to the range of the image (1st to 99th percentile).
        share: largest share of a line of the border that may differ.

    Returns:
        The rectangle; along an axis where less than a quarter would remain, nothing is taken off.
    """
    least = [length / 4 for length in pixels.shape]
    box: tuple[slice, ...] = ()
    found: Box = (slice(0, pixels.shape[0]), slice(0, pixels.shape[1]))
    while found != box:
        box = found
        inner = _without_outermost(pixels[found], tolerance, share)
        first, second = (
            new if new.stop - new.start >= length else old
            for old, new, length in zip(found, within(found, inner), least, strict=True)
        )
        found = first, second
    return found


def _without_outermost(pixels: np.ndarray, tolerance: float, share: float) -> Box:
    """Return the range of each axis of `pixels`, (W, H), without the outermost border on each side."""
    low, high = np.percentile(pixels[:: max(1, pixels.shape[0] // 256), :: max(1, pixels.shape[1] // 256)], (1, 99))
    ranges = []
    for lines in (_in_pieces(pixels), _in_pieces(pixels.T)):
        margins = []
        for inward in (lines, lines[::-1]):
            differs = np.abs(inward - np.median(inward[0])) > tolerance * (high - low)
            content = differs.mean(axis=1) > share
            margins.append(int(content.argmax()) if content.any() else 0)
        ranges.append(slice(margins[0], len(lines) - margins[1]))
    return ranges[0], ranges[1]


def _in_pieces(lines: np.ndarray) -> np.ndarray:
    """Return the means, (N, about 64) float32, of pieces of each line (N, L), with about 8 pixels in a large image.

    From 512 lines on, neighbouring lines are averaged, too.
    """
    from scipy.ndimage import uniform_filter1d

    lines = lines[:, :: max(1, lines.shape[1] // (_PIECES * _PIXELS))]
    length = max(1, lines.shape[1] // _PIECES)
    whole = lines.shape[1] // length * length
    total = add_up([np.asarray(lines[:, place:whole:length], np.float32) for place in range(length)])
    pieces = np.divide(total, np.float32(length), order="C")
    return np.asarray(uniform_filter1d(pieces, max(1, len(lines) // 256), axis=0, mode="mirror"))
