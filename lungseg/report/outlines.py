# SPDX-License-Identifier: Apache-2.0
"""Outlines of lungs and heart as data, which the viewer of the pages draws on a picture (templates/viewer.js)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg.io.marks import place_marks
from lungseg.io.overlay import COLOURS, Line

# Coordinates of a drawing are counted in thousandths of the picture's longer side, so that whole numbers are enough.
LONGER_SIDE = 1000
# A region is averaged to this many samples along the picture's longer side before its outline is found. Averages
# place the outline more precisely than the samples lie.
_SAMPLES = 320
# A corner is left out if the triangle with its neighbours is smaller than this, in squares between samples.
_SMALLEST_TRIANGLE = 1.2
_FEWEST_POINTS = 6

_LABELS = {"right lung": 1, "left lung": 2, "lung of unknown side": 255}
_HEART = "heart"
_LINES = ("width of the heart", "width of the chest")


def _hex(label: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*COLOURS[label])


# Name of a layer -> its colour, and whether it is dashed.
STYLES: dict[str, tuple[str, bool]] = {
    "right lung": (_hex(1), False),
    "left lung": (_hex(2), False),
    "lung of unknown side": (_hex(3), False),
    _HEART: (_hex(3), False),
    _LINES[0]: (_hex(3), False),
    _LINES[1]: ("#ffffff", True),
}


@dataclass(frozen=True)
class Drawing:
    """Everything that is drawn on a picture.

    Attributes:
        width, height: of the picture, in thousandths of its longer side.
        outlines: name among `STYLES` -> path, as the attribute `d` of an SVG path has it.
        marks: "R" and "L" -> x and y of the letter's centre.
    """

    width: int
    height: int
    outlines: dict[str, str] = field(default_factory=dict)
    marks: dict[str, tuple[int, int]] = field(default_factory=dict)

    def layers(self, suffix: str = "", colour: str = "", dashed: bool | None = None) -> list[dict[str, Any]]:
        """Return the outlines as viewer.js takes them: {"name", "colour", "dashed", "path"} each.

        Args:
            suffix: added to each name, such as ", reference".
            colour: of all of them, such as "#ffffff"; by default each has its own.
            dashed: whether they are dashed; by default only the width of the chest is.
        """
        return [
            {
                "name": f"{name}{suffix}",
                "colour": colour or STYLES[name][0],
                "dashed": STYLES[name][1] if dashed is None else dashed,
                "path": path,
            }
            for name, path in self.outlines.items()
        ]

    def letters(self) -> list[dict[str, Any]]:
        """Return the marks as viewer.js takes them: {"text", "x", "y", "colour"} each."""
        colours = {"R": _hex(1), "L": _hex(2)}
        return [{"text": text, "x": x, "y": y, "colour": colours[text]} for text, (x, y) in self.marks.items()]


def find_outlines(
    labels: NDArray[np.uint8], heart: NDArray[np.bool_] | None = None, lines: Sequence[Line] = ()
) -> Drawing:
    """Find the outlines of a label map, and where the letters of the patient's sides belong.

    Args:
        labels: (H, W) label map: 1 right lung, 2 left lung, 3 heart, 255 a lung of unknown side.
        heart: (H, W) bool, all of the heart; the label 3 may be a part of it.
        lines: of the heart's and the chest's width, ((x, y), (x, y)) in pixels.
    """
    unit = LONGER_SIDE / max(labels.shape)
    height, width = (round(side * unit) for side in labels.shape)
    marks = {text: (round(x * unit), round(y * unit)) for text, (x, y) in place_marks(labels).items()}
    # Every second or third pixel of a large picture still gives each average enough of them.
    step = max(1, max(labels.shape) // (2 * _SAMPLES))
    some = (slice(step // 2, None, step),) * 2
    regions = {name: labels[some] == label for name, label in _LABELS.items()}
    regions[_HEART] = labels[some] == 3 if heart is None else heart[some]
    rings = {name: [ring * step * unit for ring in _rings(region)] for name, region in regions.items()}
    outlines = {name: "".join(_path(ring, closed=True) for ring in found) for name, found in rings.items() if found}
    for name, ends in zip(_LINES, lines, strict=False):
        outlines[name] = _path(np.array(ends) * unit, closed=False)
    return Drawing(width, height, outlines, marks)


def _rings(region: NDArray[np.bool_]) -> Iterator[NDArray[np.float64]]:
    """Yield each closed outline of a region, also around holes: (N, 2) float64, x and y in pixels.

    They are marching squares through the region's averages, without the corners that hardly show (after Visvalingam
    and Whyatt, The Cartographic Journal 30, 1993). `lungseg.io.polygons` is more exact, and takes ten times as long.
    """
    from contourpy import contour_generator
    from PIL import Image

    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not rows.size:
        return
    box = region[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    step = max(1.0, max(region.shape) / _SAMPLES)
    width, height = (max(1, round(side / step)) for side in box.shape[::-1])
    whole = Image.fromarray(np.ascontiguousarray(box).view(np.uint8) * np.uint8(255))
    # With background on all sides, every outline is closed.
    averages = np.pad(np.asarray(whole.resize((width, height), Image.Resampling.BOX)), 1)
    per_sample = np.array(box.shape[::-1]) / (width, height)
    for line in contour_generator(z=averages).lines(127.5):
        # The padding adds one sample; the first sample's centre lies half a sample from the border.
        yield (_simplified(np.asarray(line)[:-1]) - 0.5) * per_sample + (columns[0], rows[0])


def _simplified(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out the corners of a ring whose triangles are smallest, as long as they are small."""
    while len(ring) > _FEWEST_POINTS:
        # np.roll takes as long as all the rest.
        closed = np.concatenate((ring[-1:], ring, ring[:1]))
        steps = closed[1:] - closed[:-1]
        before, after = steps[:-1], steps[1:]
        areas = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) / 2
        around = np.concatenate((areas[-1:], areas, areas[:1]))
        # No two neighbours at a time: one changes the triangle of the other.
        least = (areas < around[:-2]) & (areas <= around[2:]) & (areas < _SMALLEST_TRIANGLE)
        if not least.any():
            break
        ring = ring[~least]
    return ring


def _path(points: NDArray[np.float64], closed: bool) -> str:
    """Write points (N, 2) as a path, each corner relative to the one before it, which is shorter."""
    first, *others = np.diff(np.rint(points).astype(int), axis=0, prepend=0).tolist()
    steps = "".join(f"{x}{y}" if y < 0 else f"{x} {y}" for x, y in _spaced(others))
    return f"M{first[0]} {first[1]}l{steps}{'z' if closed else ''}"


def _spaced(steps: list[list[int]]) -> Iterator[tuple[str, int]]:
    """Yield x as text, with a blank before it where it would continue the number before it, and y."""
    for number, (x, y) in enumerate(steps):
        yield (f" {x}" if number and x >= 0 else str(x)), y
