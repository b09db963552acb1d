# SPDX-License-Identifier: Apache-2.0
"""Draw the outlines of lungs and heart on radiographs, and lines that were measured."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import ImageFont

    _Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

Line = tuple[tuple[float, float], tuple[float, float]]

# Okabe and Ito's palette for colour-blind people: sky blue, orange, reddish purple.
COLOURS = {1: (86, 180, 233), 2: (230, 159, 0), 3: (204, 121, 167)}
# A lung of unknown side has the colour of the heart: no picture shows both.
_SHADED_AS = {1: 1, 2: 2, 3: 3, 255: 3}
# The patient's sides.
_LETTERS = {1: "R", 2: "L"}
HEART_LABEL = 3
_GREYS = 232
# Longer side of a thumbnail in pixels.
_THUMBNAIL = 160
# Shades of each colour, from nearly black, for the edges of letters, to the full colour.
_SHADES = 8
# White and black dashes are visible on any background.
_DASHES = (_GREYS - 1, 0)


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
        (H, W) uint8, indices of `PALETTE`: right lung blue, left lung orange, with the letters R and L in them; heart
        purple.
    """
    picture = _to_greys(image)
    # Draw the letters first: in a small lung a letter would hide the outline.
    for label in _LETTERS:
        _write(picture, labels == label, label)
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


def _to_greys(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    # Some ten thousand pixels give the percentiles precisely enough.
    step = max(1, min(image.shape) // 256)
    low, high = np.percentile(image[::step, ::step], (0.5, 99.5))
    # In place: allocating large arrays takes longer than the arithmetic.
    scaled: np.ndarray = np.subtract(image, low, dtype=np.float32)
    scaled *= np.float32((_GREYS - 1) / max(high - low, 1e-6))
    np.clip(scaled, 0, _GREYS - 1, out=scaled)
    return scaled.astype(np.uint8)


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
    stroke = 6.0 * thickness
    along = [(x + across * far, y + down * far, far) for far in np.arange(0, length)]
    ends = [
        (end_x - down * far, end_y + across * far, 0.0)
        for end_x, end_y in ((x, y), (far_x, far_y))
        for far in np.arange(-stroke, stroke + 1)
    ]
    for at_x, at_y, far in (*along, *ends):
        # round() would take the even one of two neighbours, and leave gaps.
        top, left = (max(0, math.floor(at - (thickness - 1) / 2)) for at in (at_y, at_x))
        second = gap is not None and int(far // (6 * thickness)) % 2 == 1
        picture[top : top + thickness, left : left + thickness] = gap if second else colour


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


def _write(picture: np.ndarray, region: np.ndarray, label: int) -> None:
    """Write the letter of a label, with a black rim, at the centre of its region."""
    from PIL import ImageFont

    box = _box(region)
    if box is None:
        return
    size = max(8, min(picture.shape) // 18)
    y = box[0].start + int(np.average(np.arange(box[0].stop - box[0].start), weights=region[box].sum(axis=1)))
    x = box[1].start + int(np.average(np.arange(box[1].stop - box[1].start), weights=region[box].sum(axis=0)))
    patch = picture[max(0, y - size) : y + size, max(0, x - size) : x + size]
    place, font = (min(x, size), min(y, size)), ImageFont.load_default(size)
    rim = _coverage(patch.shape, place, _LETTERS[label], font, max(1, size // 12))
    level = np.rint(_SHADES * _coverage(patch.shape, place, _LETTERS[label], font, 0)).astype(np.uint8)
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


def encode_thumbnail(
    image: np.ndarray, labels: np.ndarray, heart: np.ndarray | None = None, lines: Sequence[Line] = ()
) -> bytes:
    """Return the bytes of a small JPEG overlay: at most 160 pixels a side, about five kilobytes.

    Args:
        image: (H, W), any real type.
        labels, heart, lines: see :func:`draw_indexed_overlay`.
    """
    from PIL import Image

    # Four source pixels for each pixel of the thumbnail are enough.
    step = max(1, max(image.shape) // (4 * _THUMBNAIL))
    small = Image.fromarray(np.ascontiguousarray(image[::step, ::step], dtype=np.float32))
    small.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    lungs = Image.fromarray(labels).resize(small.size, Image.Resampling.NEAREST)
    hearts = None
    if heart is not None:
        hearts = np.asarray(Image.fromarray(heart.view(np.uint8)).resize(small.size, Image.Resampling.NEAREST)) > 0
    scale = small.width / image.shape[1]
    shrunk: list[Line] = [((x * scale, y * scale), (u * scale, v * scale)) for (x, y), (u, v) in lines]
    drawn = draw_overlay(np.asarray(small), np.asarray(lungs), heart=hearts, lines=shrunk)
    picture = Image.fromarray(drawn)
    content = io.BytesIO()
    # Full resolution for colours: the outlines are one pixel wide.
    picture.save(content, "JPEG", quality=60, subsampling=0, optimize=True)
    return content.getvalue()
