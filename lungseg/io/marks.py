# SPDX-License-Identifier: Apache-2.0
"""Where the letters R and L belong on a picture: the patient's sides."""

from __future__ import annotations

import numpy as np

# Label -> its letter, and the direction (rows, columns) in which that side lies on an upright picture.
LETTERS = {1: "R", 2: "L"}
_OUTWARDS = {1: (0.0, -1.0), 2: (0.0, 1.0)}
# Shorter side of the label map that is looked at.
_GRID = 128
_LEAST_SIZE = 12


def mark_size(shape: tuple[int, ...]) -> int:
    """Return the height of the letters on a picture (H, W), in pixels."""
    return max(_LEAST_SIZE, min(shape) // 14)


def place_marks(labels: np.ndarray) -> dict[str, tuple[int, int]]:
    """Return where the letters of the patient's sides belong: beside the outer border of each lung.

    Args:
        labels: (H, W) label map: 1 right lung, 2 left lung.

    Returns:
        "R" and "L", for the lungs that are there, -> column and row of the letter's centre.
    """
    step = max(1, min(labels.shape) // _GRID)
    small = labels[::step, ::step]
    lungs = {label: points for label in LETTERS if len(points := np.argwhere(small == label))}
    centres = {label: points.mean(axis=0) for label, points in lungs.items()}
    size = mark_size(labels.shape)
    marks: dict[str, tuple[int, int]] = {}
    for label, points in lungs.items():
        outwards = np.array(_OUTWARDS[label])
        if len(lungs) > 1:
            # Where the other lung is not; the picture may lie on its side.
            outwards = centres[label] - centres[3 - label]
            outwards /= max(float(np.hypot(*outwards)), 1e-6)
        away = points - centres[label]
        across = np.abs(away[:, 0] * outwards[1] - away[:, 1] * outwards[0])
        reach = float((away @ outwards)[across <= max(size / step / 2, 1)].max(initial=0))
        place = (centres[label] + outwards * reach) * step + outwards * 0.8 * size
        row, column = (
            min(max(at, 0.6 * size), side - 0.6 * size) for at, side in zip(place, labels.shape, strict=True)
        )
        marks[LETTERS[label]] = round(column), round(row)
    return marks
