# SPDX-License-Identifier: Apache-2.0
"""Masks with any values, colours or opacity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from field_kind import FIELD, Kind
from PIL import Image

from lungseg.data.phantoms import phantom

_COUNT = 2
_SIZE = (180, 140)
_RED, _GREEN, _BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
Draw = Callable[[np.ndarray], Image.Image]


def _set(draw: Draw, *options: object, ending: str = ".png", **how: object) -> Callable[[Path], Sequence[object]]:
    """Return a maker of a data set whose masks are drawn from label maps 0/1/2, for check-data."""

    def make(folder: Path) -> Sequence[object]:
        for name in ("images", "masks"):
            (folder / name).mkdir()
        for number in range(_COUNT):
            image, labels = phantom(number, _SIZE)
            Image.fromarray(image).save(folder / "images" / f"{number}.png")
            draw(labels).save(folder / "masks" / f"{number}{ending}", **how)
        return ("check-data", ".", "-o", "sheet.png", *options)

    return make


def _values(*table: int, kind: type = np.uint8) -> Draw:
    return lambda labels: Image.fromarray(np.array(table, kind)[labels])


def _colours(*table: tuple[int, ...]) -> Draw:
    return lambda labels: Image.fromarray(np.array(table, np.uint8)[labels])


def _palette(labels: np.ndarray) -> Image.Image:
    """Numbers in another order than labels, so that only the colours say which lung it is."""
    image = Image.fromarray(np.array([4, 9, 2], np.uint8)[labels])
    palette = np.zeros((10, 3), np.uint8)
    palette[9], palette[2] = _RED, _GREEN
    image.putpalette(palette.ravel().tolist())
    return image


def _smooth(labels: np.ndarray) -> Image.Image:
    """Borders with the shades that a drawing program leaves."""
    image = _colours((0, 0, 0), _RED, _GREEN)(labels)
    large = image.resize((image.width * 4, image.height * 4), Image.Resampling.NEAREST)
    return large.resize(image.size, Image.Resampling.BILINEAR)


def _with_heart(labels: np.ndarray) -> Image.Image:
    values = np.array([0, 10, 20], np.uint8)[labels]
    height, width = values.shape
    middle = values[height // 2 : height // 2 + 20, width // 2 - 10 : width // 2 + 10]
    middle[middle == 0] = 30
    return Image.fromarray(values)


def _opaque(colour: tuple[int, int, int], mode: str) -> Draw:
    def draw(labels: np.ndarray) -> Image.Image:
        image = Image.new("RGB", labels.shape[::-1], colour)
        image.putalpha(Image.fromarray((labels > 0).astype(np.uint8) * 255))
        return image.convert(mode)

    return draw


_GOOD = (r"\b2 pairs", r"\b0 problems")
_SIDES = "--labels", "right=#ff0000,left=#00ff00"

KINDS: list[Kind] = [
    Kind(
        "masks of 0 and 128 of a public report",
        lambda folder: ("check-data", FIELD / "mask_128", "-o", "sheet.png"),
        "one value besides 0 is the lungs",
        said=(r"\b0 problems",),
        real=True,
    ),
    *(
        Kind(f"masks of 0 and {value}", _set(_values(0, value, value, kind=kind)), "they are the lungs", said=_GOOD)
        for value, kind in ((1, np.uint8), (2, np.uint8), (128, np.uint8), (254, np.uint8), (65535, np.uint16))
    ),
    Kind(
        "JPEG masks around grey 128",
        _set(_values(0, 128, 128), ending=".jpg", quality=60),
        "the noise at the borders is looked through",
        said=_GOOD,
    ),
    Kind(
        "label maps with unknown values",
        _set(_values(0, 64, 128)),
        "refused, with the values and a command line that works",
        1,
        (r"64 \(2 files\), 128 \(2 files\)", "lungseg check-data . --labels right=64,left=128"),
    ),
    Kind(
        "label maps with values that --labels states",
        _set(_values(0, 64, 128), "--labels", "right=64,left=128"),
        "they are read as stated",
        said=_GOOD,
    ),
    Kind(
        "label maps with a heart of unknown value",
        _set(_with_heart),
        "the proposal states the heart too",
        1,
        ("--labels right=10,left=20,heart=30",),
    ),
    Kind(
        "label maps with a heart that --labels states",
        _set(_with_heart, "--labels", "right=10,left=20,heart=30"),
        "the heart is not lung",
        said=_GOOD,
    ),
    Kind(
        "label maps with a value that --labels leaves out",
        _set(_with_heart, "--labels", "right=10,left=20"),
        "refused, with the part to add",
        1,
        ("nothing about 30", "add background=30 or ignore=30"),
    ),
    Kind(
        "label maps with right and left exchanged",
        _set(_values(0, 2, 1)),
        "one line for the whole data set says so",
        said=("right and left are exchanged in 2 of the 2 masks; give --labels right=2,left=1",),
    ),
    Kind(
        "exchanged label maps with the proposed option",
        _set(_values(0, 2, 1), "--labels", "right=2,left=1"),
        "the sides are right",
        said=_GOOD,
    ),
    Kind(
        "black lungs on white",
        _set(_values(255, 0, 0)),
        "refused, with a command line that works",
        1,
        ("mask-inverted", "--labels lung=0,background=255"),
    ),
    Kind(
        "black lungs on white as the proposal states",
        _set(_values(255, 0, 0), "--labels", "lung=0,background=255"),
        "they are the lungs",
        said=_GOOD,
    ),
    *(
        Kind(f"masks in the alpha channel, {mode}", _set(_opaque(colour, mode)), "the opacity is the mask", said=_GOOD)
        for mode, colour in (("RGBA", (255, 255, 255)), ("LA", (0, 0, 0)))
    ),
    Kind(
        "coloured masks",
        _set(_colours((0, 0, 0), _RED, _GREEN)),
        "refused, with the colours and a command line that works",
        1,
        (r"#ff0000 \(2 files\)", "--labels right=#ff0000,left=#00ff00"),
    ),
    Kind(
        "coloured masks that --labels states",
        _set(_colours((0, 0, 0), _RED, _GREEN), *_SIDES),
        "they are read as stated",
        said=_GOOD,
    ),
    Kind("coloured masks with smooth borders", _set(_smooth, *_SIDES), "the nearest colour counts", said=_GOOD),
    Kind(
        "coloured JPEG masks",
        _set(_colours((0, 0, 0), _RED, _GREEN), *_SIDES, ending=".jpg", quality=75),
        "the nearest colour counts",
        said=_GOOD,
    ),
    Kind("coloured palettes", _set(_palette, *_SIDES), "the colours count, not the numbers", said=_GOOD),
    Kind(
        "a colour that --labels leaves out",
        _set(_colours((0, 0, 0), _RED, _BLUE), "--labels", "right=#ff0000,left=#00ff00"),
        "refused, with the part to add",
        1,
        ("nothing about #0000ff",),
    ),
    Kind(
        "a meaning that does not exist",
        _set(_values(0, 1, 2), "--labels", "rihgt=1,left=2"),
        "refused as wrong use, with an example",
        2,
        ("rihgt", "right=1,left=2"),
    ),
]
