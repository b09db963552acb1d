# SPDX-License-Identifier: Apache-2.0
"""Draw a data set on one page: thumbnails with their outlines, problems first."""

from __future__ import annotations

import random
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lungseg.data.check_result import CheckResult
from lungseg.data.label_files import read_label
from lungseg.data.pairing import Case, case_name
from lungseg.io import read_radiograph
from lungseg.io.overlay import draw_overlay
from lungseg.io.png import write_png
from lungseg.utils.errors import LungsegError

_SIDE = 200
_LINE = 14
_COLUMNS = 10
_INK, _ALARM = (230, 230, 230), (255, 120, 90)


def draw_contact_sheet(result: CheckResult, path: str | PathLike[str], count: int = 100, seed: int = 0) -> int | None:
    """Write a PNG with at most `count` cases: those with a problem, then a seeded sample of the others.

    Right lungs are blue, left lungs orange, lungs of unknown laterality purple.

    Args:
        result: the checked data set.
        path: the PNG file.
        count: at most so many cases.
        seed: seed of the sample.

    Returns:
        The number of cases with a problem that did not fit; None, without a PNG, if no case has an image.

    Raises:
        LungsegError: the picture cannot be written.
    """
    kinds: dict[str, str] = {}
    for problem in result.problems:
        kinds.setdefault(problem.name, problem.kind)
    labels = {case.name: case for case in result.pairs}
    images = {case_name(path, result.images_folder): path for path in result.images_without_mask}
    images |= {case.name: case.image for case in result.pairs}
    alarming = sorted(name for name in kinds if name in images)
    others = sorted(labels.keys() - kinds.keys()) or sorted(images.keys() - kinds.keys())
    room = max(0, count - len(alarming))
    sample = sorted(random.Random(seed).sample(others, min(room, len(others))))
    tiles = [_tile(images[name], labels.get(name), name, kinds.get(name)) for name in alarming[:count] + sample]
    if not tiles:
        return None
    write_png(path, _arrange(tiles))
    return max(0, len(alarming) - count)


def _tile(image: Path, case: Case | None, name: str, kind: str | None) -> np.ndarray:
    """Return (H, W, 3) uint8: a thumbnail above the name of the case and its problem."""
    tile = Image.new("RGB", (_SIDE, _SIDE + 2 * _LINE + 6))
    picture = Image.fromarray(_thumbnail(image, case))
    tile.paste(picture, ((_SIDE - picture.width) // 2, (_SIDE - picture.height) // 2))
    draw, font = ImageDraw.Draw(tile), ImageFont.load_default(11)
    draw.text((4, _SIDE + 2), name[-32:], fill=_ALARM if kind else _INK, font=font)
    draw.text((4, _SIDE + 2 + _LINE), kind or "", fill=_ALARM, font=font)
    return np.asarray(tile)


def _thumbnail(image: Path, case: Case | None) -> np.ndarray:
    try:
        pixels = read_radiograph(image).pixels
    except LungsegError:
        return np.zeros((_SIDE, _SIDE, 3), np.uint8)
    scale = _SIDE / max(pixels.shape)
    height, width = (max(1, round(length * scale)) for length in pixels.shape)
    small = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))
    return draw_overlay(small, _small_labels(case, (width, height)))


def _small_labels(case: Case | None, size: tuple[int, int]) -> np.ndarray:
    """Return the (H, W) label map at `size` (width, height); empty if there is none."""
    try:
        labels = read_label(case.label, case.labels).labels if case is not None else np.zeros((1, 1), np.uint8)
    except LungsegError:
        labels = np.zeros((1, 1), np.uint8)
    return np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))


def _arrange(tiles: list[np.ndarray]) -> np.ndarray:
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    height, width = tiles[0].shape[:2]
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for number, tile in enumerate(tiles):
        y, x = number // columns * height, number % columns * width
        sheet[y : y + height, x : x + width] = tile
    return sheet
