# SPDX-License-Identifier: Apache-2.0
"""Masks become label maps: 0 background, 1 right lung, 2 left lung, 3 lung whose side is not believed.

Sides are the patient's: the right lung lies on the left of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lungseg.data.pairing import Label
from lungseg.data.problems import EMPTY_MASK, LATERALITY_UNKNOWN, NOT_A_MASK, ONE_LUNG, UNREADABLE
from lungseg.io import read_radiograph
from lungseg.io.formats import HEAD_BYTES, format_of
from lungseg.io.limits import check_size
from lungseg.utils.errors import LungsegError

if TYPE_CHECKING:
    from PIL import Image

RIGHT, LEFT, SIDE_UNKNOWN = 1, 2, 3

# Of the lungs' area. In 704 radiographs of two hospitals a lung has 29 to 69 % where the border is right.
MAX_SHARE = 0.7
# Components below this share of the area are specks, not lungs.
MIN_COMPONENT = 0.02
# Distance of the lungs' centres along x, as a share of the width of both; in plausible masks it is about a half.
MIN_SIDE_BY_SIDE = 0.25
# JPEG and smooth drawing leave shades at a mask's border. So far from black or white, of 255, the rest is noise ...
MAX_NOISE = 16
# ... and this share of the pixels is black or white; in drawings of 256 x 256 pixels up to 1.6 % are not.
MIN_CLEAN = 0.98
# Two drawings of adjacent lungs may share a little of their border.
MAX_OVERLAP = 0.01
# Of the picture's outermost pixels, so many are no lung's, however closely it was cropped.
MAX_FRAME = 0.5

LOPSIDED = f"one lung would hold over {MAX_SHARE:.0%} of the area"
TOUCHING = "the lungs touch, so that their border is not known"
SWAPPED = "the right lung lies on the right of the picture (sides swapped, or a mirrored radiograph)"

_KINDS = "save it in grey, with 0/255 or as a label map 0/1/2"


class MaskError(LungsegError):
    """A reference that cannot be used; `kind` is one of the constants of `lungseg.data.problems`."""

    def __init__(self, what: str, where: object = None, remedy: str = "", kind: str = NOT_A_MASK) -> None:
        super().__init__(what, where, remedy)
        self.kind = kind

    def __reduce__(self):
        return type(self), (self.what, self.where, self.remedy, self.kind)


@dataclass(frozen=True)
class LabelMap:
    """A reference.

    Attributes:
        labels: (H, W) uint8, values 0, 1, 2; or 0 and 3 where the sides are not believed.
        union_reason: why only the union is believed (LOPSIDED, TOUCHING or SWAPPED), or None.
    """

    labels: np.ndarray
    union_reason: str | None = None


def read_label(label: Label) -> LabelMap:
    """Read a binary mask (0/255 or 0/1), a label map (0/1/2) or the masks of (right lung, left lung), upright.

    Raises:
        MaskError: the reference cannot be used; the message names its file.
    """
    if isinstance(label, tuple | list):
        right, left = (Path(path) for path in label)
        return _named(right, lambda: from_lungs(read_values(right), read_values(left)))
    path = Path(label)
    return _named(path, lambda: from_values(read_values(path)))


def read_values(path: Path) -> np.ndarray:
    """Return the values of a mask file, laid as `lungseg.io.read_radiograph` lays an image: (H, W), any real dtype.

    Colours must be grey, or have one channel that is not empty. A palette of coloured labels counts by its numbers.

    Raises:
        MaskError: the file is damaged, of an unfit size or coloured.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with open(path, "rb") as file:
            if format_of(file.read(HEAD_BYTES)) == "nifti":
                return read_radiograph(path).pixels
        # By handle, for the reason that lungseg.io.raster gives.
        with open(path, "rb") as file, Image.open(file) as image:
            check_size(*image.size, path)
            # Loading alone ignores the check sums of a PNG's pixel data.
            image.verify()
        with open(path, "rb") as file, Image.open(file) as image:
            ImageOps.exif_transpose(image, in_place=True)
            values = _shown(image) if image.mode == "P" else np.asarray(image)
            alpha = image.mode in ("LA", "PA", "RGBA")
    except LungsegError as error:
        raise MaskError(error.what, path, error.remedy, UNREADABLE) from error
    except FileNotFoundError as error:
        raise MaskError("there is no such file", path, "check the name", UNREADABLE) from error
    except UnidentifiedImageError as error:
        what = "this is not a picture in a known format" if path.stat().st_size else "the file is empty"
        raise MaskError(what, path, "copy or export the mask again", UNREADABLE) from error
    except Exception as error:  # decoders raise whatever a damaged byte leads them to
        what = f"the mask cannot be read ({error})"
        raise MaskError(what, path, "copy or export the mask again", UNREADABLE) from error
    if values.ndim == 2:
        return values.astype(np.uint8) if values.dtype == bool else values
    colours = values[..., :-1] if alpha else values
    used = np.flatnonzero(colours.any(axis=(0, 1)))
    if used.size != 1 and (colours != colours[..., :1]).any():
        raise MaskError("the mask is in several colours", path, _KINDS)
    return colours[..., used[0] if used.size else 0]


def _shown(image: Image.Image) -> np.ndarray:
    """Return the values (H, W) of a picture with a palette: what is shown, where the numbers only stand for it.

    Of two colours the brighter one is white: programs number them as they please. More than three greys are shades. All
    else are labels, and colours were given them to be told apart.
    """
    numbers, shown = np.asarray(image), np.asarray(image.convert("L"))
    used, places = np.unique(numbers, return_index=True)
    first, *others = shown.flat[places].tolist()
    if len(others) == 1 and first != others[0]:
        return np.where(shown == max(first, *others), np.uint8(255), np.uint8(0))
    colours = np.asarray(image.convert("RGB"))
    return shown if len(used) > 3 and (colours == colours[..., :1]).all() else numbers


def from_values(values: np.ndarray) -> LabelMap:
    """Turn the (H, W) values of one file into a label map.

    Values 0 and 1, or 0 and 255 with few shades between, are a binary mask whose connected components give the sides;
    0, 1, 2 are a label map; 0 and 3 are one whose sides are not known.

    Raises:
        MaskError: the values are of neither kind, inverted, empty, or do not tell two lungs.
    """
    present = set(np.unique(values).tolist()) - {0}
    if not present:
        raise MaskError("the mask is empty", kind=EMPTY_MASK)
    if present in ({1}, {255}, {65535}):
        return _from_binary(values != 0)
    if present == {SIDE_UNKNOWN}:
        return LabelMap(values.astype(np.uint8), TOUCHING)
    if present <= {RIGHT, LEFT}:
        return _judged(values.astype(np.uint8))
    # Small numbers beside 255 could be labels.
    if not present <= {RIGHT, LEFT, SIDE_UNKNOWN, 255} and _is_shaded(values):
        return _from_binary(_lung(values))
    shown = ", ".join(f"{value:g}" for value in sorted(present)[:4]) + (", ..." if len(present) > 4 else "")
    raise MaskError(f"it has the values (0, {shown})", remedy=_KINDS)


def from_lungs(right: np.ndarray, left: np.ndarray) -> LabelMap:
    """Merge the (H, W) masks of the two lungs; any value but 0 is lung, of shades up to 255 the upper half.

    Raises:
        MaskError: the sizes differ, a mask is empty or inverted, or the lungs overlap.
    """
    if right.shape != left.shape:
        raise MaskError("the masks of the right and the left lung differ in size", remedy="draw them again")
    right, left = _lung(right), _lung(left)
    for lung in (right, left):
        _check_not_inverted(lung)
    if np.count_nonzero(right & left) > MAX_OVERLAP * np.count_nonzero(right | left):
        raise MaskError("the masks of the right and the left lung overlap", remedy="draw them again")
    return _judged(np.where(right, RIGHT, np.where(left, LEFT, 0)).astype(np.uint8))


def _is_shaded(values: np.ndarray) -> bool:
    """Whether all but few pixels are black or white, in 8 or 16 bits."""
    top = 255 if values.max() <= 255 else 65535
    noise = MAX_NOISE * top // 255
    white = values >= top - noise
    return bool(white.any() and np.mean(white | (values <= noise)) >= MIN_CLEAN)


def _lung(values: np.ndarray) -> np.ndarray:
    return values > (values.max() / 2 if _is_shaded(values) else 0)


def _from_binary(lungs: np.ndarray) -> LabelMap:
    """Name the two big components by their order along x; a speck goes with the nearer one."""
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
    return _judged(table[components])


def _check_not_inverted(lungs: np.ndarray) -> None:
    frame = np.concatenate([lungs[0], lungs[-1], lungs[1:-1, 0], lungs[1:-1, -1]])
    if frame.mean() > MAX_FRAME:
        raise MaskError("what is white in the mask reaches around the picture", remedy="invert it: the lungs are white")


def _one_component(lungs: np.ndarray) -> LabelMap:
    """Two lungs that touch reach over the middle of the picture; a single one does not."""
    middle = lungs.shape[1] // 2
    share = np.count_nonzero(lungs[:, :middle]) / np.count_nonzero(lungs)
    if 1 - MAX_SHARE <= share <= MAX_SHARE:
        return _union(lungs, TOUCHING)
    raise MaskError("the mask holds one lung only", remedy="draw both lungs, or leave the case out", kind=ONE_LUNG)


def _judged(labels: np.ndarray) -> LabelMap:
    """Keep a label map whose sides are plausible, and its union where they are not."""
    right, left = labels == RIGHT, labels == LEFT
    areas = np.count_nonzero(right), np.count_nonzero(left)
    if not any(areas):
        raise MaskError("the mask is empty", kind=EMPTY_MASK)
    if not all(areas):
        raise MaskError("the mask holds one lung only", remedy="draw both lungs, or leave the case out", kind=ONE_LUNG)
    lungs = labels != 0
    apart = (_centre_x(left) - _centre_x(right)) / _width(lungs)
    if abs(apart) < MIN_SIDE_BY_SIDE:
        raise MaskError(
            "its two parts do not lie side by side, so that left and right cannot be told",
            remedy="give a label map 0/1/2",
            kind=LATERALITY_UNKNOWN,
        )
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


def _named(path: Path, read) -> LabelMap:
    try:
        return read()
    except MaskError as error:
        if error.where is not None:
            raise
        raise MaskError(error.what, path, error.remedy, error.kind) from error
