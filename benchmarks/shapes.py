# SPDX-License-Identifier: Apache-2.0
"""Radiographs in other sizes and shapes, with their references."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from lungseg.utils.errors import LungsegError

LARGE = 2048
Pair = tuple[np.ndarray, np.ndarray]


def shapes(sizes: dict[str, tuple[int, int]]) -> dict[str, Callable[[str, np.ndarray, np.ndarray], Pair]]:
    """Return title -> function from a case's name, image and label map to those of another shape, (H, W) uint8.

    Args:
        sizes: case's name -> (width, height) that the radiograph had before it was squashed to a square.
    """

    def native(name: str, image: np.ndarray, labels: np.ndarray) -> Pair:
        return image, labels

    def large(name: str, image: np.ndarray, labels: np.ndarray) -> Pair:
        return _resized(image, labels, LARGE, LARGE)

    def proportional(name: str, image: np.ndarray, labels: np.ndarray) -> Pair:
        if name not in sizes:
            raise LungsegError("original_sizes.csv does not list its size", name, "add a line for it")
        width, height = sizes[name]
        factor = min(image.shape) / min(width, height)
        return _resized(image, labels, round(width * factor), round(height * factor))

    def padded(name: str, image: np.ndarray, labels: np.ndarray) -> Pair:
        side = image.shape[1] // 2
        return tuple(np.pad(array, ((0, 0), (side, side))) for array in (image, labels))

    def halved(name: str, image: np.ndarray, labels: np.ndarray) -> Pair:
        quarter = image.shape[0] // 4
        return image[quarter:-quarter], labels[quarter:-quarter]

    return {
        "as it is": native,
        f"enlarged to {LARGE} x {LARGE}": large,
        "original aspect ratio": proportional,
        "2:1, black at the sides": padded,
        "2:1, the middle half": halved,
    }


def original_sizes(data: str) -> dict[str, tuple[int, int]]:
    """Read `original_sizes.csv`, which lies in the data set's folder or in the one around it.

    Raises:
        LungsegError: it is not there.
    """
    folder = Path(data)
    for file in (folder / "original_sizes.csv", folder.parent / "original_sizes.csv"):
        if file.is_file():
            with open(file, newline="", encoding="utf-8") as lines:
                return {
                    Path(row["file"]).stem: (int(row["width"]), int(row["height"])) for row in csv.DictReader(lines)
                }
    raise LungsegError(
        "there is no original_sizes.csv", folder, "write one with the columns file, width and height, in pixels"
    )


def _resized(image: np.ndarray, labels: np.ndarray, width: int, height: int) -> Pair:
    methods = (Image.Resampling.BICUBIC, Image.Resampling.NEAREST)
    pair = zip((image, labels), methods, strict=True)
    return tuple(np.asarray(Image.fromarray(array).resize((width, height), method)) for array, method in pair)
