# SPDX-License-Identifier: Apache-2.0
"""The cardiothoracic ratio: the greatest width of the heart over the greatest inner width of the chest.

Danzer (Am J Med Sci 157, 1919) measured it on films taken from behind (PA) of patients who stand. In other films the
heart is enlarged, so that the ratio is withheld.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lungseg.io.overlay import Line
from lungseg.io.radiograph import Radiograph
from lungseg.transforms.regions import HEART, label_map

# On upright films the line through the centres of both full lungs falls by this angle towards the left lung, which has
# no liver below it, in degrees.
_USUAL_SLOPE = 3.5
# Smaller angles are within the variation of upright patients.
_LEAST_TILT = 10.0
# Shorter side of the maps that are turned, and of those that give the interval.
_SIDE = 512
# Probabilities between which the borders of the heart and of the lungs lie.
_SURE, _LIKELY = 0.75, 0.25
# Widens the interval so that it holds for nine in ten radiographs of the validation list. `recipes.cardiothoracic`
# finds it.
_WIDENING = 3.4


@dataclass(frozen=True)
class CardiothoracicRatio:
    """A cardiothoracic ratio, or the reason why it is withheld.

    Attributes:
        value: greatest transverse width of the heart over the greatest width between the outer borders of both lungs;
            None if it is withheld.
        low, high: interval that holds the reference's ratio for nine in ten radiographs.
        note: "" for a PA film without doubts, "view unknown", or why the ratio is withheld or not reliable.
        heart, chest: the lines that were measured, ((x, y), (x, y)) in pixels of the picture.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""
    heart: Line | None = None
    chest: Line | None = None

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines of the heart and of the chest; none if the ratio is withheld."""
        return tuple(line for line in (self.heart, self.chest) if line)


def find_cardiothoracic_ratio(
    regions: NDArray[np.uint8],
    profiles: Callable[[int], NDArray[np.float32]],
    radiograph: Radiograph,
    flags: Mapping[str, str],
    always: bool = False,
) -> CardiothoracicRatio | None:
    """Measure the ratio and judge whether it may be given.

    Args:
        regions: (H, W) uint8, see :class:`lungseg.transforms.AsRegionsd`.
        profiles: see `find_profiles`; takes the axis, and is called only where the ratio is given.
        radiograph: its spacing, projection and position are used.
        flags: doubts and notes for which the ratio is withheld, name -> sentence.
        always: do not withhold it, but say why it is not reliable.

    Returns:
        The ratio; None if there is no heart, or not both lungs.
    """
    row, column = radiograph.spacing or (1.0, 1.0)
    measured = measure_widths(label_map(regions, "full"), (regions & HEART) > 0, row / column)
    if measured is None:
        return None
    reasons = _reasons(radiograph, flags)
    if reasons and not always:
        return CardiothoracicRatio(None, note=f"withheld: {', '.join(reasons)}")
    note = f"not reliable: {', '.join(reasons)}" if reasons else "" if radiograph.projection else "view unknown"
    # On a picture that lies on its side the patient's transverse axis runs down the columns.
    on_side = 45 < abs(measured.tilt) < 135
    low, high = _interval(measured.ratio, profiles(0 if on_side else 1))
    return CardiothoracicRatio(
        round(measured.ratio, 3), round(low, 3), round(high, 3), note, measured.heart, measured.chest
    )


def _reasons(radiograph: Radiograph, flags: Mapping[str, str]) -> list[str]:
    reasons = ["AP view"] if radiograph.projection == "AP" else []
    reasons += ["supine patient"] if radiograph.supine else []
    return [*reasons, *flags]


@dataclass(frozen=True)
class Widths:
    """The two widths on a picture.

    Attributes:
        ratio: width of the heart over that of the chest.
        heart, chest: their lines, ((x, y), (x, y)) in pixels, along the patient's transverse axis.
        tilt: degrees by which the patient is turned clockwise on the screen; 0 if upright within the usual variation.
    """

    ratio: float
    heart: Line
    chest: Line
    tilt: float


def measure_widths(
    lungs: NDArray[np.uint8], heart: NDArray[np.bool_], aspect: float = 1.0, tilt: float | None = None
) -> Widths | None:
    """Measure heart and chest along the patient's transverse axis.

    The heart reaches from its leftmost to its rightmost pixel. The chest is as wide as the widest row from the outer
    border of one lung to that of the other.

    Args:
        lungs: (H, W) uint8: 0 background, 1 right lung, 2 left lung, to their full extent if it is known.
        heart: (H, W) bool.
        aspect: height of a pixel over its width.
        tilt: degrees by which the patient is turned clockwise; None finds it from the centres of both lungs, which
            needs their full extent.

    Returns:
        The widths; None if there is no heart, or no row with both lungs.
    """
    tilt = _tilt(lungs, aspect) if tilt is None else tilt
    if not tilt:
        return _widths(lungs, heart)
    # Only turned pictures are turned upright, at a size at which that is cheap.
    step = max(1, min(lungs.shape) // _SIDE)
    turn = _Turn(lungs[::step, ::step].shape, tilt, aspect)
    found = _widths(turn(lungs[::step, ::step]), turn(heart[::step, ::step].view(np.uint8)) > 0)
    if found is None:
        return None
    lines = [turn.back(line, step) for line in (found.heart, found.chest)]
    return replace(found, heart=lines[0], chest=lines[1], tilt=tilt)


def _widths(lungs: NDArray[np.uint8], heart: NDArray[np.bool_]) -> Widths | None:
    columns = np.flatnonzero(heart.any(axis=0))
    both = np.flatnonzero((lungs == 1).any(axis=1) & (lungs == 2).any(axis=1))
    if not len(columns) or not len(both):
        return None
    inside = lungs[both] > 0
    first, last = inside.argmax(axis=1), inside.shape[1] - inside[:, ::-1].argmax(axis=1)
    widest = int((last - first).argmax())
    # Lines are in the middle of a row, and end at the borders of pixels.
    left, right = int(columns[0]), int(columns[-1]) + 1
    y = 0.5 + float(np.mean([np.flatnonzero(heart[:, x]).mean() for x in (left, right - 1)]))
    row, start, stop = 0.5 + float(both[widest]), float(first[widest]), float(last[widest])
    ratio = (right - left) / (stop - start)
    return Widths(ratio, ((float(left), y), (float(right), y)), ((start, row), (stop, row)), 0.0)


def _tilt(lungs: NDArray[np.uint8], aspect: float) -> float:
    """Return the degrees by which the patient is turned clockwise; 0 below the variation of upright patients."""
    step = max(1, min(lungs.shape) // 128)
    small = lungs[::step, ::step]
    ends = [np.argwhere(small == lung).mean(axis=0) for lung in (1, 2) if (small == lung).any()]
    if len(ends) < 2:
        return 0.0
    down, across = ends[1] - ends[0]
    down *= aspect
    if abs(across) >= abs(down) and across < 0:
        # Mirrored, or upside down: neither changes a width.
        down, across = -down, -across
    slope = math.degrees(math.atan2(down, across))
    tilt = slope - _USUAL_SLOPE
    return tilt if abs(tilt) >= _LEAST_TILT else 0.0


class _Turn:
    """Turns label maps (h, w) counter-clockwise by `tilt` degrees into maps of square pixels, and lines back."""

    def __init__(self, shape: tuple[int, ...], tilt: float, aspect: float) -> None:
        height, width = shape
        size = math.ceil(math.hypot(height * aspect, width))
        sine, cosine = math.sin(math.radians(tilt)), math.cos(math.radians(tilt))
        # From (row, column) of the turned map to those of the given one.
        self.matrix = np.array([[cosine / aspect, sine / aspect], [-sine, cosine]])
        self.offset = np.array([height - 1, width - 1]) / 2 - self.matrix @ np.array([size - 1, size - 1]) / 2
        self.size = size

    def __call__(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        # Importing SciPy takes long, and most pictures are upright.
        from scipy.ndimage import affine_transform

        turned: NDArray[np.uint8] = affine_transform(
            labels, self.matrix, self.offset, output_shape=(self.size, self.size), order=0
        )
        return turned

    def back(self, line: Line, step: int) -> Line:
        """Return a line in the picture of which every `step`-th row and column was turned."""
        ends = [self.matrix @ np.array([y, x]) + self.offset for x, y in line]
        (y, x), (far_y, far_x) = ((end * step).tolist() for end in ends)
        return (x, y), (far_x, far_y)


def find_profiles(probabilities: NDArray[np.float32], axis: int = 1) -> NDArray[np.float32]:
    """Return the highest probabilities in each column, or in each row: (2, n), of either lung and of the heart.

    Args:
        probabilities: (3, h, w) of right lung, left lung and heart, on all or on some of the rows and columns.
        axis: 1 for columns, 0 for rows.
    """
    return np.stack([probabilities[:2].sum(axis=0).max(axis=1 - axis), probabilities[2].max(axis=1 - axis)])


def _interval(ratio: float, profiles: NDArray[np.float32]) -> tuple[float, float]:
    """Return the bounds of the ratio."""
    below, above = border_shares(profiles)
    return ratio * max(0.0, 1 - _WIDENING * below), ratio * (1 + _WIDENING * above)


def border_shares(profiles: NDArray[np.float32]) -> tuple[float, float]:
    """Return by which share the ratio is smaller and larger where the borders are drawn at other probabilities.

    Args:
        profiles: see `find_profiles`, along the patient's transverse axis.

    Returns:
        The share for a heart drawn at the probability 0.75 and lungs drawn at 0.25, and for the opposite.
    """
    lungs, heart = profiles
    hearts = [_reach(heart > level) for level in (_SURE, 0.5, _LIKELY)]
    chests = [_reach(lungs > level) for level in (_LIKELY, 0.5, _SURE)]
    least, middle, most = (wide / max(chest, 1) for wide, chest in zip(hearts, chests, strict=True))
    return abs(least / max(middle, 1e-3) - 1), abs(most / max(middle, 1e-3) - 1)


def _reach(above: NDArray[np.bool_]) -> int:
    """Return the number of lines from the first to the last one of `above`, (n,)."""
    lines = np.flatnonzero(above)
    return int(lines[-1] - lines[0] + 1) if len(lines) else 0
