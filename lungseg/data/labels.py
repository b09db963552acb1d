# SPDX-License-Identifier: Apache-2.0
"""Turn the values of masks into label maps: 0 background, 1 right lung, 2 left lung.

The sides are the patient's: the right lung is on the left of the picture. A label map, or a mask for each lung, states
the sides, and they are kept as they were drawn, unless they are exchanged. In a binary mask the order of the connected
components gives them, and is doubted where it is implausible.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lungseg.data.problems import (
    EMPTY_MASK,
    INVERTED_MASK,
    LATERALITY_UNKNOWN,
    NOT_A_MASK,
    NOT_SIDE_BY_SIDE,
    ONE_LUNG,
    SIZE_MISMATCH,
)
from lungseg.data.shades import is_shaded, lung_of
from lungseg.utils.errors import LungsegError

RIGHT, LEFT, HEART = 1, 2, 3
_NAMES = {RIGHT: "right", LEFT: "left"}
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
ACROSS = "only one side is stated, and it lies on both sides of the picture"

_KINDS = "say what they stand for, such as --labels right=1,left=2 with the values that it has"
_DRAW_BOTH = "draw both lungs, or remove the case"
_ONE_STATED = f"{_DRAW_BOTH}; if it is a label map of one lung, give --labels right=1,left=2"


class MaskError(LungsegError):
    """A reference that cannot be used; its code is one of the constants of `lungseg.data.problems`.

    Attributes:
        lungs: (H, W) bool, the union of the lungs, if only their sides are not known; else None.
    """

    lungs: np.ndarray | None = None


@dataclass(frozen=True)
class Remark:
    """Something unusual in a reference that is used as it is.

    Attributes:
        kind: ONE_LUNG or NOT_SIDE_BY_SIDE of `lungseg.data.problems`.
        sentence: for people, without a full stop.
    """

    kind: str
    sentence: str


@dataclass(frozen=True)
class LabelMap:
    """A reference.

    Attributes:
        labels: (H, W) uint8, values 0, 1, 2; or 0 and SIDE_UNKNOWN if the laterality is unknown; NOT_STATED where the
            reference says nothing.
        union_reason: why only the union is used (LOPSIDED, TOUCHING, SWAPPED or ACROSS), or None.
        remark: something unusual in sides that are used as they were drawn, or None.
    """

    labels: np.ndarray
    union_reason: str | None = None
    remark: Remark | None = None


def from_values(values: np.ndarray) -> LabelMap:
    """Turn the (H, W) values of one file into a label map.

    Values 0 and one other, or two with few shades near them, are a binary mask whose connected components give the
    sides; 0, 1, 2 are a label map, in which 3 may be the heart and one of the lungs may be missing.

    Raises:
        MaskError: the values are of neither kind, inverted or empty, or a binary mask does not show two lungs.
    """
    present = set(np.unique(values).tolist()) - {0}
    if not present:
        raise MaskError("the mask is empty", code=EMPTY_MASK)
    if len(present) == 1:
        return _from_binary(values != 0, _ONE_STATED if present <= {RIGHT, LEFT} else _DRAW_BOTH)
    if present <= {RIGHT, LEFT, HEART}:
        _check_not_inverted(values != 0)
        return from_sides(np.where(values == HEART, 0, values).astype(np.uint8))
    # Small numbers beside 255 could be labels.
    if not present <= {RIGHT, LEFT, HEART, 255} and is_shaded(values):
        return _from_binary(lung_of(values))
    shown = ", ".join(f"{value:g}" for value in sorted(present)[:4]) + (", ..." if len(present) > 4 else "")
    raise MaskError(f"it has the values (0, {shown})", remedy=_KINDS, code=NOT_A_MASK)


def from_lungs(right: np.ndarray, left: np.ndarray) -> LabelMap:
    """Merge the (H, W) masks of the two lungs. Every value except 0 is lung; of shades, only the upper half is.

    Raises:
        MaskError: the sizes differ, a mask is inverted, both are empty, or the lungs overlap.
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
    return from_sides(np.where(right, RIGHT, np.where(left, LEFT, 0)).astype(np.uint8))


def from_parts(parts: dict[str, np.ndarray]) -> LabelMap:
    """Merge the masks (H, W) bool of the meanings, see :data:`lungseg.data.label_values.MEANINGS`.

    Raises:
        MaskError: no lung is drawn, or lungs without a side do not show two lungs.
    """
    right, left, lung, silent = (parts[meaning] for meaning in ("right", "left", "lung", "ignore"))
    if not (right | left | lung).any():
        raise MaskError("the mask is empty", code=EMPTY_MASK)
    if lung.any():
        label = _from_binary(right | left | lung | silent)
    else:
        label = from_sides(np.where(right, RIGHT, np.where(left, LEFT, 0)).astype(np.uint8))
    return replace(label, labels=np.where(silent, np.uint8(NOT_STATED), label.labels))


def from_sides(labels: np.ndarray) -> LabelMap:
    """Keep the sides that a person stated in a label map (H, W) uint8, however different the lungs are.

    One lung may be missing: it was removed, or no part of it can be seen. Only if the sides contradict the picture, as
    in a mirrored radiograph, the union alone is used.

    Raises:
        MaskError: both lungs are missing.
    """
    areas = {side: np.count_nonzero(labels == side) for side in _NAMES}
    total = sum(areas.values())
    if not total:
        raise MaskError("the mask is empty", code=EMPTY_MASK)
    large, small = sorted(areas, key=lambda side: -areas[side])
    if areas[small] < MIN_COMPONENT * total:
        return _from_one_side(labels, large, areas[small] / total)
    apart = _apart(labels)
    if apart <= -MIN_SIDE_BY_SIDE:
        return _union(labels != 0, SWAPPED)
    if apart < MIN_SIDE_BY_SIDE:
        sentence = "its lungs do not lie side by side; look whether the picture or the mask is turned"
        return LabelMap(labels, remark=Remark(NOT_SIDE_BY_SIDE, sentence))
    return LabelMap(labels)


def _from_one_side(labels: np.ndarray, side: int, rest: float) -> LabelMap:
    """Check the place of the only lung, or of one whose other has the share `rest` of the area."""
    on_left = _share_on_left(labels == side)
    in_place = on_left if side == RIGHT else 1 - on_left
    if in_place < 1 - MAX_SHARE:
        return _union(labels != 0, SWAPPED)
    if in_place <= MAX_SHARE:
        return _union(labels != 0, ACROSS)
    other = _NAMES[RIGHT + LEFT - side]
    missing = f"the {other} lung is drawn on {rest:.1%} of the area" if rest else f"no {other} lung is drawn"
    return LabelMap(labels, remark=Remark(ONE_LUNG, f"{missing}; it is used so: look whether this is meant"))


def _from_binary(lungs: np.ndarray, remedy: str = _DRAW_BOTH) -> LabelMap:
    """Label the two large components by their order along x; a speck gets the label of the nearer one.

    Args:
        lungs: (H, W) bool.
        remedy: for a mask with one lung.
    """
    from scipy import ndimage

    _check_not_inverted(lungs)
    components, count = ndimage.label(lungs, np.ones((3, 3)))
    areas = ndimage.sum_labels(lungs, components, range(1, count + 1))
    order = np.argsort(areas)[::-1] + 1
    if count == 1 or areas[order[1] - 1] < MIN_COMPONENT * areas.sum():
        return _one_component(lungs, remedy)
    pair = sorted(order[:2], key=lambda index: _centre_x(components == index))
    table = np.zeros(count + 1, np.uint8)
    table[pair] = RIGHT, LEFT
    if count > 2:
        first, second = (ndimage.distance_transform_edt(components != index) for index in pair)
        for speck in order[2:]:
            here = components == speck
            table[speck] = RIGHT if first[here].min() <= second[here].min() else LEFT
    labels = table[components]
    if abs(_apart(labels)) < MIN_SIDE_BY_SIDE:
        error = MaskError(
            "its two parts do not lie side by side, so that the laterality is unknown",
            remedy="give a label map 0/1/2",
            code=LATERALITY_UNKNOWN,
        )
        error.lungs = lungs
        raise error
    if max(np.count_nonzero(labels == side) for side in _NAMES) > MAX_SHARE * np.count_nonzero(lungs):
        return _union(lungs, LOPSIDED)
    return LabelMap(labels)


def _check_not_inverted(lungs: np.ndarray) -> None:
    frame = np.concatenate([lungs[0], lungs[-1], lungs[1:-1, 0], lungs[1:-1, -1]])
    if frame.mean() > MAX_FRAME:
        what = "the mask seems to be inverted"
        raise MaskError(what, remedy="invert it: lungs must be white on black", code=INVERTED_MASK)


def _one_component(lungs: np.ndarray, remedy: str) -> LabelMap:
    """Accept a component as two touching lungs if it extends over the middle of the picture; a single lung does not."""
    if 1 - MAX_SHARE <= _share_on_left(lungs) <= MAX_SHARE:
        return _union(lungs, TOUCHING)
    raise MaskError("the mask holds one lung only", remedy=remedy, code=ONE_LUNG)


def _union(lungs: np.ndarray, reason: str) -> LabelMap:
    return LabelMap(lungs.astype(np.uint8) * SIDE_UNKNOWN, reason)


def _apart(labels: np.ndarray) -> float:
    """Return how far the left lung lies to the right of the right lung, as a share of the width of both."""
    return (_centre_x(labels == LEFT) - _centre_x(labels == RIGHT)) / _width(labels != 0)


def _share_on_left(lungs: np.ndarray) -> float:
    """Return the share of a mask in the left half of the picture."""
    return float(np.count_nonzero(lungs[:, : lungs.shape[1] // 2]) / np.count_nonzero(lungs))


def _centre_x(mask: np.ndarray) -> float:
    columns = np.count_nonzero(mask, axis=0)
    return float(columns @ np.arange(columns.size) / columns.sum())


def _width(mask: np.ndarray) -> int:
    columns = np.flatnonzero(mask.any(axis=0))
    return int(columns[-1] - columns[0] + 1)
