# SPDX-License-Identifier: Apache-2.0
"""Draw the outlines of lungs and heart on radiographs, and lines that were measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lungseg.io.marks import LETTERS, mark_size, place_marks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import ImageFont

    _Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

Line = tuple[tuple[float, float], tuple[float, float]]

# Okabe and Ito's palette for colour-blind people: sky blue, orange, reddish purple.
COLOURS = {1: (86, 180, 233), 2: (230, 159, 0), 3: (204, 121, 167)}
# A lung of unknown side has the colour of the heart: no picture shows both.
_SHADED_AS = {1: 1, 2: 2, 3: 3, 255: 3}
HEART_LABEL = 3
_GREYS = 232
# Shades of each colour, from nearly black, for the edges of letters, to the full colour.
_SHADES = 8
# White and black dashes are visible on any background.
_DASHES = (_GREYS - 1, 0)
# So many numbers stay in the processor's cache.
_CACHED = 2**15


def _palette() -> np.ndarray:
    greys = np.repeat(np.linspace(0, 255, _GREYS)[:, None], 3, axis=1)
    shades = np.arange(1, _SHADES + 1)[:, None] / _SHADES
    colours = np.concatenate([greys, *(shades * np.array(colour) for colour in COLOURS.values())])
    return np.asarray(np.rint(colours), dtype=np.uint8)


# (256, 3) uint8: greys from black to white, then the shades of each colour.
PALETTE = _palette()


def draw_overlay(
    image: np.ndarray,
    labels: np.ndarray,
    reference: np.ndarray | None = None,
    heart: np.ndarray | None = None,
    lines: Sequence[Line] = (),
    text: str = "",
) -> np.ndarray:
    """Draw the outline of each lung on its radiograph: (H, W, 3) uint8. See :func:`draw_indexed_overlay`."""
    return np.asarray(PALETTE[draw_indexed_overlay(image, labels, reference, heart, lines, text)])


def draw_indexed_overlay(
    image: np.ndarray,
    labels: np.ndarray,
    reference: np.ndarray | None = None,
    heart: np.ndarray | None = None,
    lines: Sequence[Line] = (),
    text: str = "",
) -> np.ndarray:
    """Draw the outline of each lung on its radiograph, with the colours of `PALETTE`.

    Args:
        image: (H, W), any type; shown from its 0.5th to its 99.5th percentile.
        labels: (H, W) label map: 1 right lung, 2 left lung, 3 heart, 255 a lung of unknown side.
        reference: another (H, W) label map, drawn as thin lines of white and black dashes.
        heart: (H, W) bool, all of the heart; the label 3 may be a part of it.
        lines: straight lines to draw, ((x, y), (x, y)) in pixels: the first one in the colour of the heart, the others
            in white and black dashes.
        text: written along the upper edge, white on black, as small as it needs to be to fit in.

    Returns:
        (H, W) uint8, indices of `PALETTE`: right lung blue, left lung orange, with the letters R and L beside them;
        heart purple.
    """
    picture = to_greys(image, _GREYS)
    # Draw the letters first: on a small picture a letter would hide the outline.
    _write_marks(picture, labels)
    thickness = max(1, round(min(image.shape) / 300))
    for label, colour in _SHADED_AS.items():
        region = heart if label == HEART_LABEL and heart is not None else labels == label
        _paint(picture, region, thickness, _shade(colour))
    if reference is not None:
        thin = max(1, round(0.7 * thickness))
        for label in _SHADED_AS:
            _paint(picture, reference == label, thin, *_DASHES)
    for number, line in enumerate(lines):
        _rule(picture, line, thickness, *(_DASHES if number else (_shade(HEART_LABEL),)))
    if text:
        _write_line(picture, text)
    return picture


def _shade(label: int, level: int = _SHADES) -> int:
    """Return the index of a label's colour, from the darkest shade (level 1) to the full one."""
    return _GREYS + (label - 1) * _SHADES + level - 1


def to_greys(image: np.ndarray, levels: int = 256) -> np.ndarray:
    """Return a radiograph (H, W) of any real type as (H, W) uint8: 0 to `levels` - 1 from its 0.5th to its 99.5th
    percentile."""
    image = np.asarray(image)
    # Some ten thousand pixels give the percentiles precisely enough.
    step = max(1, min(image.shape) // 256)
    low, high = np.percentile(image[::step, ::step], (0.5, 99.5))
    factor, greys = np.float32((levels - 1) / max(high - low, 1e-6)), np.empty(image.shape, np.uint8)
    lines = max(1, _CACHED // max(1, image.shape[1]))
    for start in range(0, len(image), lines):
        # In place, a few rows at a time: memory takes longer than the arithmetic.
        scaled: np.ndarray = np.subtract(image[start : start + lines], low, dtype=np.float32)
        scaled *= factor
        np.clip(scaled, 0, levels - 1, out=scaled)
        greys[start : start + lines] = scaled
    return greys


def _box(region: np.ndarray) -> tuple[slice, slice] | None:
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not rows.size:
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _paint(picture: np.ndarray, region: np.ndarray, thickness: int, colour: int, gap: int | None = None) -> None:
    """Paint the inner border of a region, in dashes of two colours if `gap` is given."""
    box = _box(region)
    if box is None:
        return
    region = region[box]
    border = region & ~_eroded(region, thickness)
    picture[box][border] = colour
    if gap is not None:
        dash = 6 * thickness
        y, x = np.ogrid[: region.shape[0], : region.shape[1]]
        picture[box][border & ((x // dash + y // dash) % 2 == 1)] = gap


def _rule(picture: np.ndarray, line: Line, thickness: int, colour: int, gap: int | None = None) -> None:
    """Draw a straight line with strokes at its ends, in dashes of two colours if `gap` is given."""
    (x, y), (far_x, far_y) = line
    length = max(1.0, math.hypot(far_x - x, far_y - y))
    across, down = (far_x - x) / length, (far_y - y) / length
    # A point for each pixel along the line, and the strokes, which are as long as twelve lines are thick.
    stroke = np.arange(-6.0 * thickness, 6.0 * thickness + 1)
    along = np.arange(0, length)
    points = [(x + across * along, y + down * along)]
    points += [(end_x - down * stroke, end_y + across * stroke) for end_x, end_y in ((x, y), (far_x, far_y))]
    # Rounding would take the even one of two neighbours, and leave gaps.
    left, top = (
        np.floor(np.concatenate(at) - (thickness - 1) / 2).clip(0).astype(int) for at in zip(*points, strict=True)
    )
    colours = np.full(len(left), colour)
    if gap is not None:
        colours[: len(along)][along // (6 * thickness) % 2 == 1] = gap
    rows, columns = np.broadcast_arrays(
        top[:, None, None] + np.arange(thickness)[:, None], left[:, None, None] + np.arange(thickness)
    )
    inside = (rows < picture.shape[0]) & (columns < picture.shape[1])
    # Later points paint over earlier ones.
    picture[rows[inside], columns[inside]] = np.broadcast_to(colours[:, None, None], inside.shape)[inside]


def _eroded(region: np.ndarray, reach: int) -> np.ndarray:
    """Erode a region, (H, W) bool, with a square of side 2 * `reach` + 1.

    The result equals SciPy's minimum_filter. Doubling the length of runs takes an eighth of its time.
    """
    eroded, length = np.pad(region, reach), 2 * reach + 1
    for _ in range(2):
        reached = 1
        while reached < length:
            step = min(reached, length - reached)
            eroded = eroded[:-step] & eroded[step:]
            reached += step
        eroded = eroded.T
    return eroded


def _write_marks(picture: np.ndarray, labels: np.ndarray) -> None:
    """Write R and L beside the lungs: bold, with a black halo."""
    from PIL import ImageFont

    size = mark_size(picture.shape)
    font, bold, halo = ImageFont.load_default(size), max(1, size // 20), max(2, size // 5)
    marks = place_marks(labels)
    for label, letter in LETTERS.items():
        if letter not in marks:
            continue
        x, y = marks[letter]
        patch = picture[max(0, y - size) : y + size, max(0, x - size) : x + size]
        place = (min(x, size), min(y, size))
        rim = _coverage(patch.shape, place, letter, font, halo)
        level = np.rint(_SHADES * _coverage(patch.shape, place, letter, font, bold)).astype(np.uint8)
        rimmed = np.where(patch < _GREYS, patch * (1 - rim), patch).astype(np.uint8)
        patch[:] = np.where(level > 0, _shade(label, 0) + level, rimmed)


def _write_line(picture: np.ndarray, text: str) -> None:
    """Write a line of text along the upper edge of a picture, white on black."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = picture.shape
    size = max(8, min(picture.shape) // 24)
    while (font := ImageFont.load_default(size)).getlength(text) > width - size and size > 8:
        size -= 1
    line = Image.new("L", (width, min(height, round(1.6 * size))))
    ImageDraw.Draw(line).text((size // 2, line.height // 2), text, fill=_GREYS - 1, font=font, anchor="lm")
    picture[: line.height] = np.asarray(line)


def _coverage(shape: tuple[int, ...], place: tuple[int, int], letter: str, font: _Font, rim: int) -> np.ndarray:
    """Return the share (H, W), 0 to 1, of each pixel that a letter with its rim covers."""
    from PIL import Image, ImageDraw

    height, width = shape
    drawn = Image.new("L", (width, height))
    ImageDraw.Draw(drawn).text(place, letter, fill=255, font=font, anchor="mm", stroke_width=rim)
    return np.asarray(drawn) / np.float32(255)
