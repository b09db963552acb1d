# SPDX-License-Identifier: Apache-2.0
"""Draw synthetic radiographs with exactly known lungs, for tests and for a demonstration without a data set.

An anatomy is moved and scaled as a whole, and rendered as a sum of blurred shapes: denser paths are brighter.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from lungseg.data.anatomy import Anatomy
from lungseg.io.png import write_png
from lungseg.utils.errors import UsageError

# Width over height that the anatomy may be stretched to; more elongated pictures have wider borders.
_ASPECT = (0.8, 1.25)
_MIN_SIDE = 64


def phantom(
    seed: int | Sequence[int], size: tuple[int, int] | None = None, bits: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a synthetic frontal chest radiograph; the same seed gives the same bits.

    Args:
        seed: seed of the anatomy, the exposure and the noise.
        size: (width, height) in pixels; if None, it is drawn from the seed and not square.
        bits: 8 or 16 per pixel.

    Returns:
        The radiograph, (H, W) uint8 or uint16, bright where dense, and its label map, (H, W) uint8: 0
        background, 1 right lung, 2 left lung.

    Raises:
        UsageError: the size or the bits are not possible.
    """
    rng = np.random.default_rng(seed)
    one, other = rng.permutation([rng.integers(400, 500), rng.integers(500, 640)])
    size = (int(one), int(other)) if size is None else (size[0], size[1])
    if bits not in (8, 16) or min(size) < _MIN_SIDE:
        raise UsageError(
            f"a phantom of {size[0]} x {size[1]} pixels with {bits} bits is not possible",
            remedy=f"choose 8 or 16 bits and at least {_MIN_SIDE} pixels a side",
            code="phantom-impossible",
        )
    canvas = _Canvas(size, rng)
    anatomy = Anatomy(rng)
    labels = canvas.draw([(anatomy.right_lung, 1), (anatomy.left_lung, 2)]).astype(np.uint8)
    density = _density(canvas, anatomy, labels > 0, rng)
    return _expose(density, canvas, bits, rng), labels


def write_phantoms(
    folder: str | PathLike[str], count: int, seed: int = 0, size: tuple[int, int] | None = None, bits: int = 8
) -> Path:
    """Write a data set of phantoms in Kaggle's layout: `CXR_png/phantom_0001.png`, `masks/phantom_0001.png`, ...

    Masks are 0/255. Another seed gives other phantoms under the same names. Returns the folder.

    Raises:
        LungsegError: the folder cannot be written to.
    """
    folder = Path(folder)
    for number in range(1, count + 1):
        image, labels = phantom((seed, number), size, bits)
        name = f"phantom_{number:04d}.png"
        write_png(folder / "CXR_png" / name, image)
        write_png(folder / "masks" / name, np.where(labels > 0, np.uint8(255), np.uint8(0)))
    return folder


class _Canvas:
    """Draws shapes of the unit square into a picture of (width, height) pixels."""

    def __init__(self, size: tuple[int, int], rng: np.random.Generator) -> None:
        self.size = size
        width, height = size
        unit_x = min(width, _ASPECT[1] * height)
        unit_y = min(height, width / _ASPECT[0])
        scale, angle = rng.uniform(0.86, 1.0), np.deg2rad(rng.uniform(-4, 4))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        # Turned about the middle of the thorax, which lies above the middle of the square.
        self._matrix = scale * turn @ np.diag([unit_x, unit_y])
        self._middle = np.array([0.5, 0.46])
        self._shift = np.array(size) * (0.5, 0.48) + rng.uniform(-0.02, 0.02, 2) * (unit_x, unit_y)
        self.unit = scale * float(np.sqrt(unit_x * unit_y))

    def points(self, shape: np.ndarray) -> list[tuple[float, float]]:
        """Return pixel positions."""
        moved = (np.asarray(shape) - self._middle) @ self._matrix.T + self._shift
        return [(float(x), float(y)) for x, y in moved]

    def draw(self, polygons: Sequence[tuple[np.ndarray, int]]) -> np.ndarray:
        """Return (H, W) uint8 with filled polygons, a later one over an earlier one."""
        picture = Image.new("L", self.size)
        pen = ImageDraw.Draw(picture)
        for shape, value in polygons:
            pen.polygon(self.points(shape), fill=value)
        return np.asarray(picture)

    def tubes(self, lines: Sequence[tuple[np.ndarray, float, int]]) -> np.ndarray:
        """Return (H, W) uint8 with (line, width, value): bones, whose rim is denser than their inside."""
        picture = Image.new("L", self.size)
        pen = ImageDraw.Draw(picture)
        for line, width, value in lines:
            points = self.points(line)
            for share, level in ((1.0, value), (0.55, int(0.65 * value))):
                pen.line(points, fill=level, width=max(1, round(share * width * self.unit)), joint="curve")
        return np.asarray(picture)

    def blur(self, picture: np.ndarray, sigma: float) -> np.ndarray:
        """Return a float32 picture blurred by `sigma` of the unit square; wide blurs on a coarser grid."""
        step = max(1, int(sigma * self.unit / 3))
        small = gaussian_filter(picture[::step, ::step].astype(np.float32), sigma * self.unit / step, truncate=3)
        return _enlarge(small, self.size) if step > 1 else small


def _density(canvas: _Canvas, anatomy: Anatomy, lungs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (H, W) float32, 0 for air around the patient and about 1 for the spine over the abdomen."""
    blur = canvas.blur
    body = canvas.draw([(anatomy.body, 1)])
    # The body is thinner towards its edges.
    density = body * (0.3 + 0.35 * blur(body, 0.07))
    # Where the heart lies on the diaphragm, one outline is seen and not the sum of two.
    abdomen = blur(canvas.draw([(anatomy.abdomen, 200)]) * body, 0.006)
    heart = blur(canvas.draw([(anatomy.mediastinum, 160)]), 0.012)
    density += np.maximum(abdomen, heart) / 1000
    density += 0.05 * blur(canvas.draw([(shape, 1) for shape in anatomy.vertebrae]), 0.004)
    bones = canvas.tubes(
        [(line, 0.018, 90) for line in anatomy.anterior_ribs]
        + [(line, 0.02, 190) for line in anatomy.posterior_ribs]
        + [(line, 0.02, 130) for line in anatomy.scapulae]
        + [(line, 0.032, 230) for line in anatomy.clavicles]
    )
    density += 0.14 / 255 * blur(bones, 0.0025) * body
    air = blur(lungs.astype(np.uint8), 0.003)
    depth = blur(lungs.astype(np.uint8), 0.04)
    vessels = _vessels(canvas, rng)
    density -= air * (rng.uniform(0.2, 0.28) + 0.14 * depth - 0.1 * vessels)
    density -= 0.14 * blur(canvas.draw([(anatomy.gas, 1)]), 0.005)
    return density


def _vessels(canvas: _Canvas, rng: np.random.Generator) -> np.ndarray:
    """Return (H, W) float32: branches that leave the hila and grow thin."""
    picture = Image.new("L", canvas.size)
    pen = ImageDraw.Draw(picture)
    for hilum, away in (((0.42, 0.42), np.pi), ((0.59, 0.4), 0.0)):
        for angle in away + rng.uniform(-1.5, 1.5, 14):
            bend = rng.uniform(-0.5, 0.5)
            steps = np.linspace(0, rng.uniform(0.15, 0.3), 6)
            path = np.stack([np.cos(angle + bend * steps / 0.3), np.sin(angle + bend * steps / 0.3)], axis=1)
            points = canvas.points(np.array(hilum) + steps[:, None] * path)
            for (start, end), width in zip(pairwise(points), (9, 7, 5, 4, 3), strict=True):
                pen.line([start, end], fill=40 + 20 * width, width=max(1, round(width / 700 * canvas.unit)))
    return canvas.blur(np.asarray(picture), 0.004) / 255


def _expose(density: np.ndarray, canvas: _Canvas, bits: int, rng: np.random.Generator) -> np.ndarray:
    """Turn density into grey values: scatter, tone curve, noise, marker, range."""
    height, width = density.shape
    field = _enlarge(rng.normal(0, 0.02, (4, 4)).astype(np.float32), (width, height))
    picture = np.clip(density + field * (density > 0), 0, 1.2) / 1.2
    picture = picture ** np.float32(rng.uniform(0.7, 1.3))
    picture = rng.uniform(0.0, 0.08) + picture * rng.uniform(0.8, 1.0)
    # The fewer photons arrive, the more noise is seen.
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    picture = picture + noise * np.float32(rng.uniform(0.006, 0.02)) * (0.5 + picture)
    picture = _mark(np.clip(picture, 0, 1).astype(np.float32), canvas, rng)
    # Detectors of 12 to 16 bits store their values in 16.
    top = 255 if bits == 8 else 2 ** int(rng.integers(12, 17)) - 1
    return np.round(picture * top).astype(np.uint8 if bits == 8 else np.uint16)


def _mark(picture: np.ndarray, canvas: _Canvas, rng: np.random.Generator) -> np.ndarray:
    """Write a side marker of lead in an upper corner: R over the patient's right, L over the left."""
    height, width = picture.shape
    letter, x = (("R", 0.06), ("L", 0.94))[rng.integers(2)]
    layer = Image.new("L", (width, height))
    font = ImageFont.load_default(max(8, round(0.06 * canvas.unit)))
    ImageDraw.Draw(layer).text((x * width, 0.07 * height), letter, fill=255, font=font, anchor="mm")
    marked = np.maximum(picture, np.asarray(layer, dtype=np.float32) / 255 * np.float32(0.97))
    return np.asarray(marked)


def _enlarge(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Interpolate (h, w) float32 to (H, W)."""
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
