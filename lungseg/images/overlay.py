# SPDX-License-Identifier: Apache-2.0
"""Radiographs with the outlines of their lungs, to look at."""

from __future__ import annotations

import numpy as np

# Okabe and Ito's palette, which colour-blind people can tell apart: sky blue, orange, reddish purple.
COLOURS = {1: (86, 180, 233), 2: (230, 159, 0), 3: (204, 121, 167)}
# White dashes with black between them are seen on any ground.
_DASHES = ((255, 255, 255), (0, 0, 0))
# The sides are the patient's.
_LETTERS = {1: "R", 2: "L"}


def draw_overlay(image: np.ndarray, labels: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
    """Draw the outline of each lung on its radiograph.

    Args:
        image: (H, W), any type; shown from its 0.5th to its 99.5th percentile.
        labels: (H, W) label map: 1 right lung, 2 left lung, 3 a lung of unknown side.
        reference: another (H, W) label map, drawn as thin lines of white and black dashes.

    Returns:
        (H, W, 3) uint8: right lung blue, left lung orange, with the letters R and L in them.
    """
    picture = np.repeat(_to_bytes(image)[:, :, None], 3, axis=2)
    thickness = max(1, round(min(image.shape) / 300))
    for label, colour in COLOURS.items():
        _paint(picture, labels == label, thickness, colour)
    if reference is not None:
        thin = max(1, round(0.7 * thickness))
        for label in COLOURS:
            _paint(picture, reference == label, thin, *_DASHES)
    for label, letter in _LETTERS.items():
        _write(picture, labels == label, letter, COLOURS[label])
    return picture


def _to_bytes(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    # A few ten thousand pixels tell the percentiles well enough.
    step = max(1, min(image.shape) // 256)
    low, high = np.percentile(image[::step, ::step], (0.5, 99.5))
    scaled = (image.astype(np.float32) - np.float32(low)) * np.float32(255 / max(high - low, 1e-6))
    return np.clip(scaled, 0, 255).astype(np.uint8)


def _box(region: np.ndarray) -> tuple[slice, slice] | None:
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not rows.size:
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _paint(picture: np.ndarray, region: np.ndarray, thickness: int, colour: tuple, gap: tuple | None = None) -> None:
    """Paint the inner border of a region, in dashes of two colours where a second one is given."""
    from scipy.ndimage import minimum_filter

    box = _box(region)
    if box is None:
        return
    region = region[box]
    border = region & ~minimum_filter(region, size=2 * thickness + 1, mode="constant", cval=0)
    picture[box][border] = colour
    if gap is not None:
        dash = 6 * thickness
        y, x = np.ogrid[: region.shape[0], : region.shape[1]]
        picture[box][border & ((x // dash + y // dash) % 2 == 1)] = gap


def _write(picture: np.ndarray, region: np.ndarray, letter: str, colour: tuple) -> None:
    """Write a letter at the centre of a region."""
    from PIL import Image, ImageDraw, ImageFont

    box = _box(region)
    if box is None:
        return
    size = max(8, min(picture.shape[:2]) // 18)
    y = box[0].start + int(np.average(np.arange(box[0].stop - box[0].start), weights=region[box].sum(axis=1)))
    x = box[1].start + int(np.average(np.arange(box[1].stop - box[1].start), weights=region[box].sum(axis=0)))
    patch = picture[max(0, y - size) : y + size, max(0, x - size) : x + size]
    drawn = Image.fromarray(patch)
    ImageDraw.Draw(drawn).text(
        (min(x, size), min(y, size)),
        letter,
        fill=colour,
        font=ImageFont.load_default(size),
        anchor="mm",
        stroke_width=max(1, size // 12),
        stroke_fill=(0, 0, 0),
    )
    patch[:] = np.asarray(drawn)
