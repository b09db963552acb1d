# SPDX-License-Identifier: Apache-2.0
"""Masks that do not lie on the lungs of their images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from field_kind import FIELD, Kind
from PIL import Image

from lungseg.data import phantom

_COUNT = 3
_BETTER = r"mean Dice with the lungs that the network finds is 0\.\d\d as they are, and 0\.9\d once"


def write_pairs(folder: Path, change: Callable[[np.ndarray], np.ndarray], size=(320, 320), count=_COUNT) -> Path:
    """Write phantoms of `size` (width, height) with label maps (0, 1, 2) that were changed."""
    for number in range(count):
        pixels, labels = phantom((40, number), size)
        for name, array in (("images", pixels), ("label_maps", np.ascontiguousarray(change(labels)))):
            (folder / name).mkdir(exist_ok=True, parents=True)
            Image.fromarray(array).save(folder / name / f"case_{number}.png")
    return folder


def _as_masks(change: Callable[[np.ndarray], np.ndarray], size=(320, 320), count=_COUNT):
    def make(folder: Path) -> Sequence[object]:
        write_pairs(
            folder / "data", lambda labels: change(np.where(labels > 0, np.uint8(255), np.uint8(0))), size, count
        )
        (folder / "data" / "label_maps").rename(folder / "data" / "masks")
        return "check-data", folder / "data"

    return make


def shifted(labels: np.ndarray, right: int, down: int) -> np.ndarray:
    """Move a mask inside its picture."""
    moved = np.zeros_like(labels)
    moved[down:, right:] = labels[: labels.shape[0] - down, : labels.shape[1] - right]
    return moved


def _disc(labels: np.ndarray) -> np.ndarray:
    y, x = np.indices(labels.shape)
    radius = min(labels.shape) / 9
    centre = labels.shape[0] * 0.75, labels.shape[1] * 0.5
    discs = [np.hypot(y - centre[0], x - centre[1] - side * 1.3 * radius) < radius for side in (-1, 1)]
    return np.where(discs[0] | discs[1], np.uint8(255), np.uint8(0))


def _exchanged(folder: Path) -> Sequence[object]:
    masks = _as_masks(lambda labels: labels, count=6)(folder)[1] / "masks"
    (masks / "case_1.png").rename(masks / "kept.png")
    (masks / "case_4.png").rename(masks / "case_1.png")
    (masks / "kept.png").rename(masks / "case_4.png")
    return "check-data", folder / "data"


def _sides_exchanged(folder: Path) -> Sequence[object]:
    write_pairs(folder / "data", lambda labels: np.choose(labels, np.array([0, 2, 1], np.uint8)))
    return "check-data", folder / "data"


KINDS = [
    Kind(
        "masks that lie on the lungs",
        _as_masks(lambda mask: mask),
        "nothing is said but the agreement with the network",
        said=[rf"Compared {_COUNT} of {_COUNT} masks, .*: mean Dice 0\.9\d\.\n$"],
    ),
    Kind(
        "masks turned by 180 degrees",
        lambda folder: ("check-data", FIELD / "upside_down"),
        "a warning says that the masks would lie on the lungs if they were turned",
        said=["the masks are turned by 180 degrees: for 3 of 3", _BETTER],
        real=True,
    ),
    Kind(
        "mirrored masks",
        _as_masks(np.fliplr),
        "a warning says that they are mirrored",
        said=["the masks are mirrored: for 3 of 3", _BETTER],
    ),
    Kind(
        "masks turned by 90 degrees",
        _as_masks(lambda mask: np.rot90(mask, -1)),
        "none has lungs side by side, and a warning says why",
        status=1,
        said=["the masks are turned by 90 degrees clockwise: for 3 of 3", _BETTER],
    ),
    Kind(
        "transposed masks, with width and height exchanged",
        _as_masks(np.transpose, (320, 260)),
        "none has the size of its image, and a warning says why",
        status=1,
        said=["the masks are transposed: for 3 of 3", "exchange rows and columns"],
    ),
    Kind(
        "masks shifted against their images",
        _as_masks(lambda mask: shifted(mask, 20, 0)),
        "a warning says by how much",
        said=[r"the masks are shifted by about (19|20|21|22) pixels to the right: for 3 of 3", _BETTER],
    ),
    Kind(
        "two masks with each other's names",
        _exchanged,
        "a warning names both, with the images on which they lie",
        said=["2 of 6 masks lie on another image", r"case_1\.png on case_4", r"case_4\.png on case_1"],
    ),
    Kind(
        "masks that show something else than lungs",
        _as_masks(_disc),
        "a warning says so",
        said=["the masks are not on the lungs: for 3 of 3"],
    ),
    Kind(
        "label maps with exchanged sides, compared with the network",
        _sides_exchanged,
        "a warning says so: the outlines lie on the lungs",
        said=["right and left are exchanged in 3 of 3 references"],
    ),
]
