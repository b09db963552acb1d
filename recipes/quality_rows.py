# SPDX-License-Identifier: Apache-2.0
"""Results whose Dice is known, as rows of features, shape and Dice: the estimate of quality is fitted to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from recipes.corruptions import HELD_OUT, KINDS
from recipes.segmented import Segmenter, cases, dice

# Larger pictures are reduced to this before they are corrupted: the network sees 256 pixels.
_SIZE = 768
UNDAMAGED, WRONG = "none", "wrong"


@dataclass(frozen=True)
class Rows:
    """Results, one a row.

    Attributes:
        source: (N,) the name of the radiograph's source.
        case: (N,) the name of the radiograph.
        kind: (N,) the kind of corruption, `UNDAMAGED`, or `WRONG` for an image that is not a frontal chest radiograph.
        left_out: (N,) bool, the network did not see the radiograph's source.
        dice: (N,) of the result with the reference.
        features: (N, features), see :data:`lungseg.quality.features.NAMES`.
        shape: (N, 2048), see :func:`lungseg.quality.features.shape`.
    """

    source: np.ndarray
    case: np.ndarray
    kind: np.ndarray
    left_out: np.ndarray
    dice: np.ndarray
    features: np.ndarray
    shape: np.ndarray

    def __len__(self) -> int:
        return len(self.dice)

    def where(self, chosen: np.ndarray) -> Rows:
        """Return some of the rows."""
        return Rows(**{one.name: getattr(self, one.name)[chosen] for one in fields(self)})

    def save(self, path: Path) -> None:
        """Write the rows to a file for :func:`load`."""
        np.savez_compressed(path, **{one.name: getattr(self, one.name) for one in fields(self)})


def load(path: Path) -> Rows:
    """Read the rows that :meth:`Rows.save` wrote."""
    with np.load(path) as content:
        return Rows(**{one.name: content[one.name] for one in fields(Rows)})


def concatenate(parts: Sequence[Rows]) -> Rows:
    """Return the rows of all parts."""
    columns = {one.name: [getattr(part, one.name) for part in parts] for one in fields(Rows)}
    return Rows(**{name: np.concatenate(column) for name, column in columns.items()})


def corrupted(segment: Segmenter, listed: Sequence[dict], copies: int) -> Rows:
    """Segment radiographs as they are and corrupted, except with the kinds that are held out of all fitting."""
    kinds = [kind for kind in KINDS if kind not in HELD_OUT]
    pictures = tqdm(cases(listed, kinds, copies, _SIZE), total=len(listed) * (1 + copies * len(kinds)), disable=None)
    found = (
        (case["set"], case["name"], kind, *_result(segment, case["extent"], pixels, labels))
        for case, kind, pixels, labels, _ in pictures
    )
    return _rows(found)


def left_out(segment: Segmenter, listed: Sequence[dict]) -> Rows:
    """Segment radiographs of a source that the network did not see."""
    rows = corrupted(segment, listed, 0)
    return replace(rows, left_out=np.ones(len(rows), bool))


def wrong(segment: Segmenter, images: Iterable[tuple[str, str, np.ndarray]]) -> Rows:
    """Segment images (source, name, pixels) that are not frontal chest radiographs, turned by each quarter."""
    found = (
        (source, name, WRONG, 0.0, *segment.as_read(np.rot90(pixels, turn))[1:])
        for source, name, pixels in images
        for turn in range(4)
    )
    return _rows(found)


def _result(segment: Segmenter, extent: str, pixels: np.ndarray, labels: np.ndarray) -> tuple:
    maps, measured, outline = segment.as_read(pixels)
    return dice(maps[extent], labels), measured, outline


def _rows(found: Iterable[tuple]) -> Rows:
    source, case, kind, true, measured, outlines = zip(*found, strict=True)
    return Rows(
        source=np.array(source),
        case=np.array(case),
        kind=np.array(kind),
        left_out=np.zeros(len(true), bool),
        dice=np.array(true),
        features=np.array([list(one.values()) for one in measured], np.float32),
        shape=np.array(outlines, np.float32),
    )
