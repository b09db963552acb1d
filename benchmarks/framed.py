# SPDX-License-Identifier: Apache-2.0
"""Radiographs in frames, as screenshots, phone photos and reports show them, drawn at random."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

Pair = tuple[np.ndarray, np.ndarray]
_WORDS = [
    "Chest",
    "PA",
    "Viewer",
    "File",
    "Edit",
    "View",
    "Tools",
    "Window",
    "Help",
    "Patient",
    "ID",
    "0000",
    "Zoom",
    "45",
    "%",
    "W",
    "4096",
    "L",
    "2048",
    "Series",
    "1",
    "of",
    "2",
]


def framed(kind: str, pixels: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Pair:
    """Put a radiograph into a frame.

    Args:
        kind: one of `KINDS`.
        pixels: (H, W) grey values of any range.
        labels: (H, W) uint8 label map.
        rng: chooses levels, widths and words.

    Returns:
        The pixels, uint8, and the labels that go with them.
    """
    low, high = np.percentile(pixels, (0.5, 99.5))
    grey = 255 * np.clip((pixels.astype(np.float32) - low) / max(float(high - low), 1e-6), 0, 1)
    pixels, labels = KINDS[kind](grey, labels, rng)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8), labels


def _pad(pair: Pair, widths: np.ndarray, level: float) -> Pair:
    """Add borders, ((top, bottom), (left, right)), of one level."""
    return np.pad(pair[0], widths, constant_values=level), np.pad(pair[1], widths)


def _widths(pair: Pair, rng: np.random.Generator, most: float) -> np.ndarray:
    return (rng.uniform(0.02, most, (2, 2)) * np.array(pair[0].shape)[:, None]).astype(int)


def _write(pixels: np.ndarray, at: tuple[float, float], words: str, level: float, size: float) -> np.ndarray:
    picture = Image.fromarray(pixels.astype(np.float32))
    ImageDraw.Draw(picture).text(at, words, fill=level, font=ImageFont.load_default(max(8, round(size))))
    return np.asarray(picture)


def _words(rng: np.random.Generator, count: int) -> str:
    return " ".join(rng.choice(_WORDS, count))


def _bar(pair: Pair, rng: np.random.Generator, level: float, height: int, share: float = 0.5) -> Pair:
    """Add a bar on top with words on its left and boxes on its right."""
    pixels, labels = _pad(pair, np.array([(height, 0), (0, 0)]), level)
    ink = 240.0 if level < 128 else 20.0
    count = max(1, round(share * pixels.shape[1] / (height * 2)))
    pixels = _write(pixels, (height * 0.4, height * 0.2), _words(rng, count), ink, height * 0.5).copy()
    for number in range(3):
        side = height // 3
        x = pixels.shape[1] - (2 * number + 2) * side
        pixels[side : 2 * side, x : x + side] = ink
    return pixels, labels


def _borders(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    """Two or three borders of different levels and widths, some with a thin line between."""
    pair = (x, y)
    for level in rng.permutation([0.0, 255.0, rng.uniform(40, 220)])[: rng.integers(2, 4)]:
        pair = _pad(pair, _widths(pair, rng, 0.12), level)
        if rng.random() < 0.5:
            pair = _pad(pair, np.full((2, 2), rng.integers(1, 4)), 255 - level)
    return pair


def _window(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    """A viewer's window: a border, a tool bar and a title bar."""
    level = rng.choice([0.0, 45.0, 128.0, 235.0])
    pair = _pad((x, y), _widths((x, y), rng, 0.25), level)
    unit = max(12, min(pair[0].shape) // 22)
    if rng.random() < 0.6:
        pair = _tools(pair, rng, unit)
    pair = _bar(pair, rng, rng.choice([30.0, 90.0, 200.0, 250.0]), unit)
    return _pad(pair, np.full((2, 2), rng.integers(1, 5)), rng.choice([0.0, 100.0, 250.0]))


def _tools(pair: Pair, rng: np.random.Generator, unit: int) -> Pair:
    """Add a bar of icons on top."""
    level = rng.choice([60.0, 220.0])
    pixels, labels = _pad(pair, np.array([(round(1.4 * unit), 0), (0, 0)]), level)
    for left in range(unit // 2, round(pixels.shape[1] * rng.uniform(0.4, 1)) - unit, round(1.5 * unit)):
        icon = ndimage.zoom(rng.uniform(0, 255, (4, 4)), unit / 4, order=0)
        pixels[round(0.2 * unit) :, left:][: icon.shape[0], : icon.shape[1]] = icon
    return pixels, labels


def _light_box(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    """A film with black margins under a dark holder, on a box that shines less towards its edges; noise."""
    pair = _pad((x, y), np.full((2, 2), round(rng.uniform(0, 0.03) * min(x.shape))), rng.uniform(0, 25))
    inner = _pad(pair, _widths(pair, rng, 0.2), np.nan)
    lit = np.isnan(inner[0])
    pixels = np.where(lit, 245.0, inner[0]) * _vignette(inner[0].shape, rng.uniform(0.05, 0.25))
    inner = pixels, inner[1]
    unit = max(8, min(pixels.shape) // 25)
    inner = _pad(inner, np.array([(unit, 0), (0, 0)]), rng.uniform(20, 110))
    if rng.random() < 0.6:
        inner = _pad(inner, _widths(inner, rng, 0.08), rng.uniform(10, 60))
    return inner[0] + rng.normal(0, rng.uniform(0, 4), inner[0].shape), inner[1]


def _vignette(shape: tuple[int, ...], strength: float) -> np.ndarray:
    rows, columns = (np.linspace(-1, 1, side) for side in shape)
    return 1 - strength * (rows[:, None] ** 2 + columns**2) / 2


def _phone_photo(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    """A photo of a film on a light box or of a screen: askew, darker towards the edges, with noise."""
    light = rng.random() < 0.5
    margins = _widths((x, y), rng, 0.12)
    pair = _pad((x, y), margins, 240.0 if light else rng.uniform(0, 60))
    room = rng.uniform(20, 150)
    pair = _pad(pair, _widths(pair, rng, 0.15), room)
    height, width = pair[0].shape
    bend = rng.uniform(-0.04, 0.04, (4, 2)) * (height, width)
    corners = np.array([(0, 0), (0, width), (height, 0), (height, width)])
    # From the photo's pixels to the picture's: bilinear between the moved corners.
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    v, u = rows / height, columns / width
    weights = ((1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u)
    where = [sum(w * (c[k] + b[k]) for w, c, b in zip(weights, corners, bend, strict=True)) for k in (0, 1)]
    pixels = ndimage.map_coordinates(pair[0], where, order=1, mode="nearest")
    labels = ndimage.map_coordinates(pair[1], where, order=0, mode="nearest")
    slope = 1 + rng.uniform(-0.12, 0.12) * (v - 0.5) + rng.uniform(-0.12, 0.12) * (u - 0.5)
    pixels = (pixels * 0.92 + 10) * _vignette(pixels.shape, rng.uniform(0.1, 0.45)) * slope
    return ndimage.gaussian_filter(pixels, 0.6) + rng.normal(0, rng.uniform(1, 6), pixels.shape), labels


def _screenshot(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    """A wide black viewport with words in its corners, a panel with thumbnails, and bars."""
    height, width = x.shape
    side = round(rng.uniform(0.05, 0.4) * width)
    edge = round(rng.uniform(0, 0.05) * height)
    pixels, labels = _pad((x, y), np.array([(edge, edge), (side, side)]), 0.0)
    unit = max(9.0, height / 40)
    for bottom in (False, True):
        for right in (False, True):
            for line in range(rng.integers(1, 5)):
                top = height - (line + 2) * 1.3 * unit if bottom else (line + 0.5) * 1.3 * unit
                left = pixels.shape[1] - 9 * unit if right else 0.5 * unit
                pixels = _write(pixels, (left, top), _words(rng, 3)[:16], rng.choice([170, 255]), unit)
    panel = round(rng.uniform(0.12, 0.3) * width)
    back = rng.choice([20.0, 50.0, 200.0, 240.0])
    pixels, labels = _pad((pixels, labels), np.array([(0, 0), (panel, 0)]), back)
    small = np.asarray(Image.fromarray(x).resize([round(0.7 * panel)] * 2, Image.Resampling.BOX))
    for number in range(rng.integers(1, 4)):
        top = round(0.1 * panel + number * 1.1 * panel)
        if top + panel < pixels.shape[0]:
            pixels[top : top + len(small), round(0.15 * panel) :][:, : len(small)] = small
            words = _words(rng, 2)
            pixels = _write(pixels, (0.15 * panel, top + 0.72 * panel), words, 255 - back, 0.14 * panel).copy()
    pair = _tools((pixels, labels), rng, round(1.5 * unit)) if rng.random() < 0.7 else (pixels, labels)
    return _bar(pair, rng, rng.choice([30.0, 90.0, 250.0]), round(1.6 * unit), share=rng.uniform(0.2, 0.9))


def _page(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    """A white report: a heading, the radiograph, lines of words; perhaps scanned, with noise and dark edges."""
    height, width = x.shape
    side = round(rng.uniform(0.08, 0.45) * width)
    over, under = (round(rng.uniform(0.15, 0.5) * height) for _ in range(2))
    white = rng.uniform(225, 255)
    pixels, labels = _pad((x, y), np.array([(over, under), (side, side)]), white)
    unit = max(9.0, width / 36)
    count = int(pixels.shape[1] / unit / 4)
    lines = [*np.arange(unit, over - 2 * unit, 1.7 * unit), *np.arange(over + height + unit, len(pixels), 1.7 * unit)]
    for top in lines:
        if rng.random() < 0.85:
            words = _words(rng, max(1, round(count * rng.uniform(0.3, 1))))
            pixels = _write(pixels, (2 * unit, float(top)), words, rng.uniform(0, 80), unit)
    if rng.random() < 0.4:
        pixels, labels = _pad((pixels, labels), _widths((pixels, labels), rng, 0.04), rng.uniform(0, 60))
        pixels = pixels + rng.normal(0, 3, pixels.shape)
    return pixels, labels


def _nested(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    """Frames of several kinds in each other."""
    inner = (_light_box, _window, _borders)[rng.integers(3)](x, y, rng)
    outer = (_window, _phone_photo, _screenshot)[rng.integers(3)]
    pixels, labels = outer(np.clip(inner[0], 0, 255).astype(np.float32), inner[1], rng)
    return pixels, labels


KINDS: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], Pair]] = {
    "as it is": lambda x, y, rng: (x, y),
    "borders, two or three": _borders,
    "window with bars": _window,
    "light box": _light_box,
    "phone photo": _phone_photo,
    "screenshot with panels": _screenshot,
    "report page": _page,
    "nested": _nested,
}
