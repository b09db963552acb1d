# SPDX-License-Identifier: Apache-2.0
"""Corruptions of radiographs between the detector and the user, at random strengths up to the unusable."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

Pair = tuple[np.ndarray, np.ndarray]


def damaged(kind: str, pixels: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Pair:
    """Corrupt a radiograph.

    Args:
        kind: one of `KINDS`.
        pixels: (H, W) grey values of any range.
        labels: (H, W) uint8 label map.
        rng: chooses the strength.

    Returns:
        The pixels, float32 in 0 to 255, and the labels that go with them; both turned or cropped if the corruption is.
    """
    low, high = np.percentile(pixels, (0.5, 99.5))
    pixels = np.clip((pixels.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1)
    pixels, labels = KINDS[kind](pixels, labels, rng)
    return (255 * np.clip(pixels, 0, 1)).astype(np.float32), labels


def _noise(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    return x + rng.normal(0, rng.uniform(0.03, 0.6), x.shape).astype(np.float32), y


def _blur(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    return ndimage.gaussian_filter(x, rng.uniform(0.004, 0.05) * min(x.shape)), y


def _exposure(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    x = x ** np.exp(rng.choice([-1, 1]) * rng.uniform(0.3, 1.8))
    low = rng.uniform(0, 0.35)
    return (x - low) / rng.uniform(0.3, 1 - low), y


def _inversion(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    return 1 - x, y


def _rotation(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    angle = rng.choice([-1, 1]) * rng.uniform(5, 180)
    return (
        ndimage.rotate(x, angle, reshape=True, order=1, cval=0.0),
        ndimage.rotate(y, angle, reshape=True, order=0, cval=0),
    )


def _quarter_turn(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    turns = int(rng.integers(1, 4))
    return np.rot90(x, turns), np.rot90(y, turns)


def _mirroring(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    # The patient's right lung is now on the picture's right.
    return x[:, ::-1], y[:, ::-1]


def _crop(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    share, side = rng.uniform(0.1, 0.6), int(rng.integers(4))
    x, y = np.rot90(x, side), np.rot90(y, side)
    keep = round(x.shape[0] * (1 - share))
    return np.rot90(x[:keep], -side), np.rot90(y[:keep], -side)


def _border(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    widths = (rng.uniform(0, 0.6, (2, 2)) * np.array(x.shape)[:, None]).astype(int)
    level, texture = rng.choice([0.0, 0.5, 1.0]), rng.choice([0.0, 0.04])
    framed = np.pad(x, widths, constant_values=level)
    outside = np.pad(np.zeros(x.shape, bool), widths, constant_values=True)
    framed[outside] += rng.normal(0, 1, int(outside.sum())).astype(np.float32) * texture
    return framed, np.pad(y, widths)


def _text(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    picture = Image.fromarray(x)
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(1, 9)):
        size = int(rng.uniform(0.03, 0.15) * x.shape[0])
        place = tuple(rng.uniform(0, 0.85, 2) * x.shape[::-1])
        word = str(rng.choice(["PORTABLE AP", "R", "L", "ERECT 24.03", "PATIENT 0815"]))
        draw.text(place, word, fill=float(rng.choice([0.0, 1.0])), font=ImageFont.load_default(size))
    return np.array(picture), y


def _devices(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    height, width = x.shape
    canvas = Image.new("L", (width, height))
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(1, 9)):
        points = np.cumsum(rng.normal(0, 0.15, (5, 2)), axis=0) + rng.uniform(0.1, 0.9, 2)
        draw.line(
            [tuple(point) for point in points * (width, height)],
            fill=int(rng.uniform(90, 255)),
            width=max(2, int(rng.uniform(0.003, 0.02) * width)),
        )
    for _ in range(rng.integers(0, 4)):
        centre, radius = rng.uniform(0.15, 0.85, 2) * (width, height), rng.uniform(0.02, 0.12) * width
        draw.ellipse([*(centre - radius), *(centre + radius)], fill=int(rng.uniform(120, 255)))
    weight = np.asarray(canvas, dtype=np.float32) / 255
    return x * (1 - weight) + weight, y


def _low_resolution(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    small = Image.fromarray(x).resize([int(rng.uniform(12, 90))] * 2, Image.Resampling.BOX)
    return np.asarray(small.resize(x.shape[::-1], Image.Resampling.BICUBIC)), y


def _jpeg(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    buffer = io.BytesIO()
    Image.fromarray((x * 255).astype(np.uint8)).save(buffer, "JPEG", quality=int(rng.integers(1, 20)))
    return np.asarray(Image.open(buffer), dtype=np.float32) / 255, y


def _opacity(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Pair:
    lungs = np.argwhere(y > 0)
    rows, columns = np.ogrid[: x.shape[0], : x.shape[1]]
    weight = np.zeros(x.shape, np.float32)
    for _ in range(rng.integers(1, 5)):
        row, column = lungs[rng.integers(len(lungs))]
        radii = rng.uniform(0.04, 0.35, 2) * x.shape
        blob = np.exp(-((((rows - row) / radii[0]) ** 2 + ((columns - column) / radii[1]) ** 2) ** 2))
        weight = np.maximum(weight, rng.uniform(0.4, 1.0) * blob)
    return x * (1 - weight) + rng.uniform(0.6, 0.95) * weight, y


KINDS: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], Pair]] = {
    "noise": _noise,
    "blur": _blur,
    "exposure": _exposure,
    "inversion": _inversion,
    "rotation": _rotation,
    "quarter turn": _quarter_turn,
    "mirroring": _mirroring,
    "crop": _crop,
    "border": _border,
    "text": _text,
    "devices": _devices,
    "low resolution": _low_resolution,
    "JPEG": _jpeg,
    "opacity": _opacity,
}
# Kept out of the fit: they show how the estimate does on corruptions that it was not fitted to.
HELD_OUT = ("blur", "text", "opacity")
