# SPDX-License-Identifier: Apache-2.0
"""Kinds of input: radiographs in frames."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from field_kind import FIELD, Kind
from PIL import Image

from lungseg.data import phantom

_Framed = tuple[np.ndarray, np.ndarray]


def _window(pixels: np.ndarray, labels: np.ndarray) -> _Framed:
    """A light window, a bar of icons and a title bar."""
    widths = ((30, 25), (140, 90))
    framed, labels = np.pad(pixels, widths, constant_values=235), np.pad(labels, widths)
    bars = np.full((60, framed.shape[1]), 60, np.uint8)
    bars[22:] = 215
    for left in range(8, 400, 30):
        bars[32:50, left : left + 18] = np.kron(np.array([[0, 255, 90], [255, 20, 180], [70, 200, 0]]), np.ones((6, 6)))
    return np.vstack([bars, framed]), np.pad(labels, ((60, 0), (0, 0)))


def _light_box(pixels: np.ndarray, labels: np.ndarray) -> _Framed:
    """A film under a dark holder on a box that shines less towards its edges."""
    widths = ((40, 70), (110, 60))
    framed, labels = np.pad(pixels.astype(float), widths, constant_values=245), np.pad(labels, widths)
    y, x = (np.linspace(-1, 1, side) for side in framed.shape)
    framed = framed * (1 - 0.12 * (y[:, None] ** 2 + x**2))
    return np.pad(framed, ((25, 0), (0, 0)), constant_values=40).astype(np.uint8), np.pad(labels, ((25, 0), (0, 0)))


def _make(frame: Callable[[np.ndarray, np.ndarray], _Framed], folder: Path) -> Sequence[object]:
    picture, labels = frame(*phantom(1))
    Image.fromarray(picture).save(folder / "chest.png")
    Image.fromarray(labels).save(folder / "right.png")
    return "predict", "chest.png", "-o", "out"


def _make_real(folder: Path) -> Sequence[object]:
    assert FIELD is not None
    shutil.copyfile(FIELD / "light_frame_with_bar.png", folder / "chest.png")
    return "predict", "chest.png", "-o", "out"


def _is_not_flagged(folder: Path) -> None:
    with (folder / "out" / "report.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert not row["doubts"]
    assert "inverted" not in row["notes"]
    found = np.asarray(Image.open(folder / "out" / "masks" / "chest.png")) > 0
    assert found.any()
    if (folder / "right.png").exists():
        right = np.asarray(Image.open(folder / "right.png")) > 0
        assert 2 * (found & right).sum() / (found.sum() + right.sum()) > 0.9


_RIGHT = "the lungs, without a doubt; the picture is not inverted"
KINDS: list[Kind] = [
    Kind("window with a title bar", partial(_make, _window), _RIGHT, check=_is_not_flagged),
    Kind("film on a light box", partial(_make, _light_box), _RIGHT, check=_is_not_flagged),
    Kind("light frame with a bar", _make_real, _RIGHT, check=_is_not_flagged, real=True),
]
