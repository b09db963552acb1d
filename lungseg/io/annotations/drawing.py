# SPDX-License-Identifier: Apache-2.0
"""Draw outlines and run lengths as masks. Pixel (x, y) has its centre at x + 0.5, y + 0.5, as in COCO and LabelMe.

Nothing here trusts a number: pycocotools, for instance, returns memory as it finds it where run lengths end early.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from skimage.draw import polygon2mask

# Corners of one outline, and characters of one field of run lengths.
MAX_CORNERS, MAX_TEXT = 200_000, 4_000_000
_FARTHEST = 1e6

Size = tuple[int, int]


def draw_polygon(corners: Any, size: Size) -> np.ndarray:
    """Return the (H, W) bool mask of the pixels whose centres are inside an outline.

    Args:
        corners: (N, 2), x and y in pixels.
        size: (height, width).

    Raises:
        ValueError: it is not an outline.
    """
    points = np.asarray(corners, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not 3 <= len(points) <= MAX_CORNERS:
        raise ValueError(f"an outline has {points.shape} numbers")
    if not (np.abs(points) < _FARTHEST).all():
        raise ValueError("an outline is far outside of the picture")
    return np.asarray(polygon2mask(size, points[:, ::-1] - 0.5))


def draw_circle(centre: Any, edge: Any, size: Size) -> np.ndarray:
    """Return the (H, W) bool mask of a circle around `centre` through `edge`, both (x, y)."""
    (x, y), (x_edge, y_edge) = np.asarray(centre, np.float64), np.asarray(edge, np.float64)
    rows, columns = np.ogrid[: size[0], : size[1]]
    radius = (x_edge - x) ** 2 + (y_edge - y) ** 2
    return np.asarray((columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= radius)


def draw_pairs(text: str, size: Size, order: Literal["rows", "columns"]) -> np.ndarray:
    """Return the (H, W) bool mask of pairs of a start and a length, separated by blanks; -1 and nothing are empty.

    Starts count from 1 over the whole picture, in Kaggle's form along its columns and in CheXmask's along its rows
    (https://github.com/ngaggion/CheXmask-Database). If that is not possible they count from the end of the last run,
    as in the SIIM-ACR pneumothorax data.

    Args:
        text: the pairs.
        size: (height, width).
        order: which pixels follow each other.

    Raises:
        ValueError: the text is not of such a kind, or the runs do not fit into the picture.
    """
    if len(text) > MAX_TEXT:
        raise ValueError("the run lengths are too long")
    numbers = np.array([int(word) for word in text.split()], np.int64)
    if numbers.size == 0 or (numbers.size == 1 and numbers[0] == -1):
        return np.zeros(size, bool)
    if numbers.size % 2 or numbers.min() < 0 or numbers.max() > size[0] * size[1]:
        raise ValueError(f"the run lengths do not fit into {size[1]} x {size[0]} pixels")
    starts, lengths = numbers[::2], numbers[1::2]
    ends = starts - 1 + lengths
    absolute = starts[0] >= 1 and (starts[1:] > ends[:-1]).all() and ends[-1] <= size[0] * size[1]
    if not absolute:
        ends = np.cumsum(starts + lengths)
        starts = ends - lengths + 1
    if ends[-1] > size[0] * size[1]:
        raise ValueError(f"the run lengths do not fit into {size[1]} x {size[0]} pixels")
    return _fill(starts - 1, ends, size, order)


def draw_counts(counts: Any, size: Size) -> np.ndarray:
    """Return the (H, W) bool mask of COCO's run lengths: a list, or its compressed text.

    Runs of background and of foreground alternate along the columns, and end with the picture
    (https://github.com/cocodataset/cocoapi, common/maskApi.c).

    Raises:
        ValueError: they are damaged, or do not fit into the picture.
    """
    numbers = np.array(_decompress(counts) if isinstance(counts, str) else counts, dtype=np.int64)
    if numbers.ndim != 1 or numbers.min(initial=0) < 0 or numbers.sum() > size[0] * size[1]:
        raise ValueError(f"the run lengths do not fit into {size[1]} x {size[0]} pixels")
    ends = np.cumsum(numbers)
    return _fill(ends[:-1:2], ends[1::2], size, "columns")


def _decompress(text: str) -> list[int]:
    """Return the counts: groups of five bits, the lowest first; from the fourth on, differences to the last but one."""
    if len(text) > MAX_TEXT:
        raise ValueError("the run lengths are too long")
    numbers: list[int] = []
    value = shift = 0
    for character in text.encode("ascii"):
        bits = character - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("the run lengths are damaged")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        numbers.append(value + numbers[-2] if len(numbers) > 2 else value)
        value = shift = 0
    return numbers


def _fill(starts: np.ndarray, ends: np.ndarray, size: Size, order: Literal["rows", "columns"]) -> np.ndarray:
    """Return (H, W) bool: runs from `starts` up to, without, `ends`."""
    steps = np.zeros(size[0] * size[1] + 1, np.int32)
    np.add.at(steps, starts[: len(ends)], 1)
    np.add.at(steps, ends, -1)
    inside = np.cumsum(steps[:-1]) > 0
    return inside.reshape(size) if order == "rows" else inside.reshape(size[::-1]).T
