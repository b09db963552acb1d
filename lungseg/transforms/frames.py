# SPDX-License-Identifier: Apache-2.0
"""Find the radiograph in frames: windows with bars and panels, light boxes, photos of films, pages of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from lungseg.transforms.borders import Box, within, without_borders
from lungseg.transforms.filters import add_up, highest, lowest

_Array = NDArray[Any]
# Frames are searched in a picture with about as many pixels along its longer side.
_SIDE = 256
# Neighbours of one flat area differ by less than this share of the range of greys (1st to 99th percentile).
_FLAT = 0.03
# A frame covers this share of one of the outermost lines of a side, or these shares of the picture's height and width.
_OUTERMOST, _COVERS, _AROUND = 5, 0.4, 0.7
# Things in a frame that are smaller than this share of the largest one, such as words, icons and thumbnails, and lines
# of the picture that have less than this share of those that have most, are no part of the picture.
_SMALL = 0.1
# A bar is thinner than this share of the picture.
_THIN = 0.15
# The picture begins on a straight line, which may be askew by this slope, along this share of its side.
_SLOPES, _STRAIGHT = np.linspace(-0.1, 0.1, 11), 0.7
# How far from the line, as a share of its length; and by which share of the range the greys on both sides differ.
_ASKEW, _STEP = 0.012, 0.06
_SIDES = ((0, 0), (0, 1), (1, 0), (1, 1))
# A sixth of each side remains, and as many pixels.
_LEAST_SHARE, _LEAST = 1 / 6, 32


def foreground_mask(image: torch.Tensor) -> NDArray[np.bool_]:
    """Find the picture inside borders and frames, whatever their greys; they are taken off until none is left.

    This is a `select_fn` of :class:`monai.transforms.CropForegroundd`.

    Args:
        image: (C, W, H) of any real dtype; the first channel is used.

    Returns:
        (1, W, H) bool, true in one rectangle; an array, whose rectangle MONAI finds in a quarter of a tensor's time.
    """
    pixels = np.asarray(image)[0]
    box: Box | None = None
    found: Box = (slice(0, pixels.shape[0]), slice(0, pixels.shape[1]))
    while found != box:
        box = within(found, without_borders(pixels[found]))
        found = within(box, without_frame(pixels[box]))
    inside = np.zeros((1, *pixels.shape), dtype=bool)
    inside[0][found] = True
    return inside


def without_frame(pixels: _Array) -> Box:
    """Find the rectangle inside a frame: flat areas that touch the edge of the picture, with small things in them.

    A side is cut where what remains begins on a straight line with a step of grey, so that a body in air, lungs, an
    opaque lung or a diaphragm are no frame. The greys of a flat area may change gradually, as on a light box.

    Args:
        pixels: (W, H) of any real dtype.
    """
    small, step = _reduced(pixels)
    low, high = np.percentile(small, (1, 99))
    if not high > low:
        return slice(0, pixels.shape[0]), slice(0, pixels.shape[1])
    greys, above, below = ((one - low) / (high - low) for one in (small, highest(small, 3), lowest(small, 3)))
    areas, _ = ndimage.label(above - below < _FLAT)
    margins = np.zeros((2, 2), int)
    for frame, sides in _frames(areas):
        inside = _enclosed(frame)
        for axis, end in sides:
            if not margins[axis, end]:
                view = tuple((values if axis == 0 else values.T)[:: 1 - 2 * end] for values in (inside, greys))
                margins[axis, end] = step * _straight_margin(*view)
    rows, columns = (_between(length, *map(int, pair)) for length, pair in zip(pixels.shape, margins, strict=True))
    return rows, columns


def _between(length: int, first: int, last: int) -> slice:
    """Return the range of an axis without its first and last pixels; all of it if too little would remain."""
    enough = length - first - last >= max(_LEAST_SHARE * length, _LEAST)
    return slice(first, length - last) if enough else slice(0, length)


def _reduced(pixels: _Array) -> tuple[_Array, int]:
    """Return means of squares of pixels, and the side of a square."""
    side = max(1, round(max(pixels.shape) / _SIDE))
    # A few pixels of each square are enough.
    thin = max(1, side // 4)
    count = side // thin
    some = pixels[::thin, ::thin]
    rows, columns = (length // count * count for length in some.shape)
    lines = add_up([np.asarray(some[:rows, place:columns:count], np.float32) for place in range(count)])
    return add_up([lines[place::count] for place in range(count)]) / np.float32(count**2), thin * count


def _frames(areas: _Array) -> Iterator[tuple[_Array, Sequence[tuple[int, int]]]]:
    """Yield masks of flat areas that may be a frame, the outermost last, and the sides where they may be: axis, end."""
    touching: dict[int, list[tuple[int, int]]] = {}
    sizes = np.bincount(areas.ravel())
    for axis, end in _SIDES:
        lines = (areas if axis == 0 else areas.T)[:: 1 - 2 * end][:_OUTERMOST]
        covered = np.max([np.bincount(line, minlength=len(sizes)) for line in lines], axis=0)
        covered[0] = 0
        for area in np.flatnonzero(covered > _COVERS * lines.shape[1]):
            touching.setdefault(int(area), []).append((axis, end))
    # A connected area has as many pixels as its box is long; most areas are too small to be looked at.
    large = np.flatnonzero(sizes > _AROUND * max(areas.shape))
    around = [int(area) for area in large if area and area not in touching and _is_around(areas == area)]
    if around:
        yield np.isin(areas, [*touching, *around]), _SIDES
    if touching:
        yield np.isin(areas, list(touching)), _SIDES
    if len(touching) > 1:
        for number, sides in touching.items():
            yield areas == number, sides


def _is_around(area: _Array) -> bool:
    """Return whether an area reaches over most of the picture's height and width."""
    lines = [np.flatnonzero(area.any(axis=axis)) for axis in (1, 0)]
    return all(np.ptp(one) + 1 > _AROUND * length for one, length in zip(lines, area.shape, strict=True))


def _enclosed(frame: _Array) -> _Array:
    """Return the mask of the large things that `frame` does not cover, without lines and bars."""
    # Outside the picture, all is frame.
    wide = np.pad(highest(frame.view(np.uint8), 3), 2, constant_values=1)
    closed = lowest(highest(wide, 5)[2:-2, 2:-2], 5)
    parts, _ = ndimage.label(closed == 0)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    for number, box in enumerate(ndimage.find_objects(parts), 1):
        if any(part.stop - part.start < _THIN * length for part, length in zip(box, parts.shape, strict=True)):
            sizes[number] = 0
    return np.asarray((sizes > _SMALL * sizes.max())[parts])


def _straight_margin(inside: _Array, greys: _Array) -> int:
    """Return how many of the first lines lie before `inside`; 0 if that has no straight side there."""
    if not inside.any():
        return 0
    lines, columns = (_busy(inside.sum(axis=axis)) for axis in (1, 0))
    if not lines.start:
        return 0
    inside = inside[:, columns]
    begins = inside.argmax(axis=0)
    begins[~inside.any(axis=0)] = 10 * len(inside)
    on_line = _on_line(begins)
    if on_line.sum() < _STRAIGHT * len(begins):
        return 0
    across = np.flatnonzero(on_line)
    before, after = (greys[:, columns][(begins[across] + shift).clip(0, len(greys) - 1), across] for shift in (-3, 2))
    return int(lines.start) if np.median(np.abs(after - before)) > _STEP else 0


def _busy(counts: _Array) -> slice:
    """Return the range of the lines that have more than a small share of the highest count."""
    busy = np.flatnonzero(counts > _SMALL * counts.max())
    return slice(int(busy[0]), int(busy[-1]) + 1)


def _on_line(begins: _Array) -> _Array:
    """Return which of `begins`, (N,), lie on the straight line that most of them lie on."""
    near = max(1.0, _ASKEW * len(begins))
    offsets = begins - _SLOPES[:, None] * (np.arange(len(begins)) - len(begins) / 2)
    best = np.zeros(len(begins), bool)
    for offset in offsets:
        ordered = np.sort(offset)
        held = np.searchsorted(ordered, ordered + 2 * near, side="right") - np.arange(len(ordered))
        if held.max() > best.sum():
            first = ordered[held.argmax()]
            best = (offset >= first) & (offset <= first + 2 * near)
    return best
