# SPDX-License-Identifier: Apache-2.0
"""Read masks as label maps: 0 background, 1 right lung, 2 left lung, 3 heart.

The sides are the patient's: the right lung is on the left of the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from lungseg.data.label_values import LabelValues, parse_labels, separate_colours, separate_values
from lungseg.data.pairing import Label
from lungseg.data.problems import (
    EMPTY_MASK,
    INVERTED_MASK,
    LATERALITY_UNKNOWN,
    NOT_A_MASK,
    ONE_LUNG,
    SIZE_MISMATCH,
    UNREADABLE,
)
from lungseg.data.shades import is_shaded, lung_of
from lungseg.io.reading import read_mask_colours, read_mask_values
from lungseg.utils.errors import LungsegError

RIGHT, LEFT, HEART = 1, 2, 3
# Inside only: a pixel of a reference that does not say anything there, and lung of unknown laterality.
NOT_STATED, SIDE_UNKNOWN = 254, 255

# Largest share of one lung in the area of both. In 704 radiographs of two hospitals a lung has 29 to 69 %.
MAX_SHARE = 0.7
# Components below this share of the area are specks, not lungs.
MIN_COMPONENT = 0.02
# Distance of the centres of the lungs along x, as a share of the width of both; about a half in plausible masks.
MIN_SIDE_BY_SIDE = 0.25
# The drawings of two adjacent lungs may overlap a little.
MAX_OVERLAP = 0.01
# Largest share of lung in the outermost pixels of a picture, however closely it is cropped.
MAX_FRAME = 0.5

LOPSIDED = f"one lung would hold over {MAX_SHARE:.0%} of the area"
TOUCHING = "the lungs touch, so that the border between them is unknown"
SWAPPED = "the right lung lies on the right of the picture (sides swapped, or a mirrored radiograph)"

_KINDS = "say what they stand for, such as --labels right=1,left=2 with the values that it has"


class MaskError(LungsegError):
    """A reference that cannot be used; its code is one of the constants of `lungseg.data.problems`.

    Attributes:
        lungs: (H, W) bool, the union of the lungs, if only their sides are not known; else None.
    """

    lungs: np.ndarray | None = None


@dataclass(frozen=True)
class LabelMap:
    """A reference.

    Attributes:
        labels: (H, W) uint8, values 0, 1, 2; or 0 and SIDE_UNKNOWN if the laterality is unknown; NOT_STATED where the
            reference says nothing.
        union_reason: why only the union is used (LOPSIDED, TOUCHING or SWAPPED), or None.
    """

    labels: np.ndarray
    union_reason: str | None = None


def read_label(label: str | PathLike[str] | Label, labels: str | None = None) -> LabelMap:
    """Read a binary mask (0/255 or 0/1), a label map (0/1/2, 3 for the heart) or a pair of masks (right, left lung).

    Args:
        label: the file, or the two files.
        labels: what the values of one file stand for, see :func:`lungseg.data.label_values.parse_labels`.

    Raises:
        MaskError: the reference cannot be used; the message names its file.
        UsageError: `labels` cannot be read.
    """
    if isinstance(label, tuple | list):
        right, left = (Path(path) for path in label)
        return _named(right, lambda: from_lungs(read_values(right), read_values(left)))
    path = Path(label)
    return _named(path, lambda: _from_file(path, None if labels is None else parse_labels(labels)))


def _from_file(path: Path, stated: LabelValues | None) -> LabelMap:
    """Read one file, by what is stated about its values or colours."""
    if stated is None:
        return from_values(read_values(path))
    if stated.names:
        name, meaning = next(iter(stated.names.items()))
        what = f"--labels states {meaning}={name}, and a mask has values or colours, not names"
        raise MaskError(what, remedy="give values, such as right=1,left=2", code=NOT_A_MASK)
    try:
        if stated.colours:
            return _from_parts(separate_colours(_read(read_mask_colours, path), stated))
        values = read_values(path)
        if stated.states_lungs:
            return _from_parts(separate_values(values, stated))
    except MaskError:
        raise
    except LungsegError as error:
        raise MaskError(error.what, path, error.remedy, code=error.code) from error
    unstated = np.isin(values, [value for value, meaning in stated.numbers.items() if meaning == "background"])
    values = np.where(unstated, values.dtype.type(0), values)
    silent = np.isin(values, [value for value, meaning in stated.numbers.items() if meaning == "ignore"])
    # A device does not cut a lung in two: the sides are separated as if it were lung.
    label = from_values(np.where(silent, values.max(), values) if silent.any() else values)
    return replace(label, labels=np.where(silent, np.uint8(NOT_STATED), label.labels))


def _from_parts(parts: dict[str, np.ndarray]) -> LabelMap:
    """Merge the masks of the meanings, see :data:`lungseg.data.label_values.MEANINGS`."""
    right, left, lung, silent = (parts[meaning] for meaning in ("right", "left", "lung", "ignore"))
    if not (right | left | lung).any():
        raise MaskError("the mask is empty", code=EMPTY_MASK)
    if lung.any():
        label = _from_binary(right | left | lung | silent)
    else:
        label = _check_sides(np.where(right, RIGHT, np.where(left, LEFT, 0)).astype(np.uint8))
    return replace(label, labels=np.where(silent, np.uint8(NOT_STATED), label.labels))


def read_values(path: Path) -> np.ndarray:
    """Return the values of a mask file, (H, W), any real dtype, in the orientation of `lungseg.io.read_radiograph`.

    Colours must be grey, or have one channel that is not empty. In a palette of coloured labels the indices are used.
    Where the colour is the same everywhere, the opacity is used.

    Raises:
        MaskError: the file is damaged, too small, too large or coloured.
    """
    return _read(read_mask_values, path)


def _read(read: Callable[[Path], np.ndarray], path: Path) -> np.ndarray:
    try:
        return read(path)
    except LungsegError as error:
        code = NOT_A_MASK if error.code == "mask-coloured" else UNREADABLE
        raise MaskError(error.what, path, error.remedy, code=code) from error


def from_values(values: np.ndarray) -> LabelMap:
    """Turn the (H, W) values of one file into a label map.

    Values 0 and one other, or two with few shades near them, are a binary mask whose connected components give the
    sides; 0, 1, 2 are a label map, in which 3 may be the heart.

    Raises:
        MaskError: the values are of neither kind, inverted or empty, or do not show two lungs.
    """
    present = set(np.unique(values).tolist()) - {0}
    if not present:
        raise MaskError("the mask is empty", code=EMPTY_MASK)
    if len(present) == 1:
        return _from_binary(values != 0)
    if present <= {RIGHT, LEFT, HEART}:
        _check_not_inverted(values != 0)
        return _check_sides(np.where(values == HEART, 0, values).astype(np.uint8))
    # Small numbers beside 255 could be labels.
    if not present <= {RIGHT, LEFT, HEART, 255} and is_shaded(values):
        return _from_binary(lung_of(values))
    shown = ", ".join(f"{value:g}" for value in sorted(present)[:4]) + (", ..." if len(present) > 4 else "")
    raise MaskError(f"it has the values (0, {shown})", remedy=_KINDS, code=NOT_A_MASK)


def from_lungs(right: np.ndarray, left: np.ndarray) -> LabelMap:
    """Merge the (H, W) masks of the two lungs. Every value except 0 is lung; of shades, only the upper half is.

    Raises:
        MaskError: the sizes differ, a mask is empty or inverted, or the lungs overlap.
    """
    if right.shape != left.shape:
        what = "the masks of the right and the left lung differ in size"
        raise MaskError(what, remedy="draw them again", code=SIZE_MISMATCH)
    right, left = lung_of(right), lung_of(left)
    for lung in (right, left):
        _check_not_inverted(lung)
    if np.count_nonzero(right & left) > MAX_OVERLAP * np.count_nonzero(right | left):
        what = "the masks of the right and the left lung overlap"
        raise MaskError(what, remedy="draw them again", code=NOT_A_MASK)
    return _check_sides(np.where(right, RIGHT, np.where(left, LEFT, 0)).astype(np.uint8))


def _from_binary(lungs: np.ndarray) -> LabelMap:
    """Label the two large components by their order along x; a speck gets the label of the nearer one."""
    from scipy import ndimage

    _check_not_inverted(lungs)
    components, count = ndimage.label(lungs, np.ones((3, 3)))
    areas = ndimage.sum_labels(lungs, components, range(1, count + 1))
    order = np.argsort(areas)[::-1] + 1
    if count == 1 or areas[order[1] - 1] < MIN_COMPONENT * areas.sum():
        return _one_component(lungs)
    pair = sorted(order[:2], key=lambda index: _centre_x(components == index))
    table = np.zeros(count + 1, np.uint8)
    table[pair] = RIGHT, LEFT
    if count > 2:
        first, second = (ndimage.distance_transform_edt(components != index) for index in pair)
        for speck in order[2:]:
            here = components == speck
            table[speck] = RIGHT if first[here].min() <= second[here].min() else LEFT
    return _check_sides(table[components])


def _check_not_inverted(lungs: np.ndarray) -> None:
    frame = np.concatenate([lungs[0], lungs[-1], lungs[1:-1, 0], lungs[1:-1, -1]])
    if frame.mean() > MAX_FRAME:
        what = "the mask seems to be inverted"
        raise MaskError(what, remedy="invert it: lungs must be white on black", code=INVERTED_MASK)


def _one_component(lungs: np.ndarray) -> LabelMap:
    """Accept a component as two touching lungs if it extends over the middle of the picture; a single lung does not."""
    middle = lungs.shape[1] // 2
    share = np.count_nonzero(lungs[:, :middle]) / np.count_nonzero(lungs)
    if 1 - MAX_SHARE <= share <= MAX_SHARE:
        return _union(lungs, TOUCHING)
    raise MaskError("the mask holds one lung only", remedy="draw both lungs, or remove the case", code=ONE_LUNG)


def _check_sides(labels: np.ndarray) -> LabelMap:
    """Keep a label map with plausible sides, and otherwise its union.

    Raises:
        MaskError: it is empty, or does not show two lungs side by side.
    """
    right, left = labels == RIGHT, labels == LEFT
    areas = np.count_nonzero(right), np.count_nonzero(left)
    if not any(areas):
        raise MaskError("the mask is empty", code=EMPTY_MASK)
    if not all(areas):
        raise MaskError("the mask holds one lung only", remedy="draw both lungs, or remove the case", code=ONE_LUNG)
    lungs = labels != 0
    apart = (_centre_x(left) - _centre_x(right)) / _width(lungs)
    if abs(apart) < MIN_SIDE_BY_SIDE:
        error = MaskError(
            "its two parts do not lie side by side, so that the laterality is unknown",
            remedy="give a label map 0/1/2",
            code=LATERALITY_UNKNOWN,
        )
        error.lungs = lungs
        raise error
    if apart < 0:
        return _union(lungs, SWAPPED)
    if max(areas) > MAX_SHARE * sum(areas):
        return _union(lungs, LOPSIDED)
    return LabelMap(labels)


def _union(lungs: np.ndarray, reason: str) -> LabelMap:
    return LabelMap(lungs.astype(np.uint8) * SIDE_UNKNOWN, reason)


def _centre_x(mask: np.ndarray) -> float:
    columns = np.count_nonzero(mask, axis=0)
    return float(columns @ np.arange(columns.size) / columns.sum())


def _width(mask: np.ndarray) -> int:
    columns = np.flatnonzero(mask.any(axis=0))
    return int(columns[-1] - columns[0] + 1)


def _named(path: Path, read: Callable[[], LabelMap]) -> LabelMap:
    """Call `read`, and name the file in its errors."""
    try:
        return read()
    except MaskError as error:
        if error.where is not None:
            raise
        named = MaskError(error.what, path, error.remedy, code=error.code)
        named.lungs = error.lungs
        raise named from error
