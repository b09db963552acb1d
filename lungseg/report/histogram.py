# SPDX-License-Identifier: Apache-2.0
"""The distribution of a figure over many images, as a drawing for `templates/histogram.html`."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_WIDTH, _HEIGHT = 360, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 12, 24
_BINS = 24
# About the width of a digit.
_LETTER = 7.5
_STEPS = (1, 2, 2.5, 5, 10)
# Values that lie farther beyond the quartiles than so many times their distance share the first or the last bar: one
# lung that is fifty times the other would squeeze all others into one bar.
_REACH = 3


@dataclass(frozen=True)
class Text:
    """A text of the drawing; numbers are formatted for SVG."""

    x: str
    y: int
    anchor: str
    text: str


@dataclass(frozen=True)
class Box:
    """A rectangle of a bar; `name` is a group, or "hit" for the area that can be clicked."""

    name: str
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True)
class Bar:
    """The images whose value is at least `low` and below `high`, either of which may be infinite."""

    low: float
    high: float
    label: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Histogram:
    """A drawing of `width` x `height`: a path of the axis, texts, and the bars that are not empty."""

    title: str
    key: str
    label: str
    axis: str
    texts: tuple[Text, ...]
    bars: tuple[Bar, ...]
    width: int = _WIDTH
    height: int = _HEIGHT


def histogram(title: str, key: str, values: Mapping[str, Sequence[float]]) -> Histogram:
    """Lay out bars over ranges of a value, stacked by group.

    Args:
        title: name of the value, with its unit.
        key: the value's name for the page's script.
        values: group -> finite values, at least one in all; the group is also the class of its boxes.
    """
    together = [value for group in values.values() for value in group]
    edges, step = _edges(together)
    digits = len(f"{step:g}".partition(".")[2])
    counts = [dict.fromkeys(values, 0) for _ in edges[1:]]
    for group, members in values.items():
        for value in members:
            counts[min(max(bisect_right(edges, value) - 1, 0), len(counts) - 1)][group] += 1
    highest = max(sum(bar.values()) for bar in counts)
    beyond = [-math.inf, *edges[1:-1], math.inf]
    width = (_WIDTH - _LEFT - _RIGHT) / len(counts)
    bars = []
    for number, bar in enumerate(counts):
        if any(bar.values()):
            low, high = beyond[number : number + 2]
            parts = ", ".join(f"{count:,} {group}" for group, count in bar.items() if count)
            boxes = tuple(_boxes(bar, _LEFT + number * width, width, highest))
            bars.append(Bar(low, high, f"{title} {_range(low, high, digits)}: {parts}", boxes))
    return Histogram(
        title,
        key,
        label=f"{title}: {len(together):,} images",
        axis=f"M{_LEFT} {_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}",
        texts=tuple(_texts(together, edges, step, digits, highest)),
        bars=tuple(bars),
    )


def _texts(values: Sequence[float], edges: Sequence[float], step: float, digits: int, highest: int) -> Iterator[Text]:
    """Yield the labels of both axes."""
    for count, y in ((highest, _TOP + 4), (0, _HEIGHT - _BOTTOM + 4)):
        yield Text(f"{_LEFT - 5}", y, "end", f"{count:,}")
    ends = _ends(values, edges, digits)
    width = (_WIDTH - _LEFT - _RIGHT) / (len(edges) - 1)
    for place in _ticks(edges, step):
        x, text = _LEFT + place * width, f"{edges[place]:.{digits}f}"
        if all(abs(x - end) > _LETTER * (len(text) / 2 + len(reach) + 1) for end, _, reach in ends):
            yield Text(f"{x:.1f}", _HEIGHT - 6, "middle", text)
    for x, anchor, text in ends:
        yield Text(f"{x}", _HEIGHT - 6, anchor, text)


def _edges(values: Sequence[float]) -> tuple[list[float], float]:
    """Return the bars' borders, multiples of a round step, and the step."""
    low, first, third, high = np.percentile(values, (0, 25, 75, 100)).tolist()
    if third > first:
        low, high = max(low, first - _REACH * (third - first)), min(high, third + _REACH * (third - first))
    rough = max((high - low) / _BINS, abs(high) / 1000, 1e-9)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in _STEPS if factor * power >= rough * (1 - 1e-9))
    # Rounded, so that the script compares with the same numbers.
    return [round(place * step, 9) for place in range(math.floor(low / step), math.floor(high / step) + 2)], step


def _ticks(edges: Sequence[float], step: float) -> list[int]:
    """Return the indices of about five inner borders that are multiples of a rounder step; the outer bars are open."""
    every = next(factor for factor in (1, 2, 4, 5, 10, 20) if len(edges) / factor <= 6.5)
    return [place for place in range(1, len(edges) - 1) if round(edges[place] / step) % every == 0]


def _ends(values: Sequence[float], edges: Sequence[float], digits: int) -> list[tuple[int, str, str]]:
    """Return x, anchor and text of the outer bars' ends that lie beyond the drawn range."""
    low, high, found = min(values), max(values), []
    if low < edges[0]:
        found.append((_LEFT, "start", f"{low:.{digits}f} …"))
    if high > edges[-1]:
        found.append((_WIDTH - _RIGHT, "end", f"… {high:.{digits}f}"))
    return found


def _range(low: float, high: float, digits: int) -> str:
    if math.isinf(low) or math.isinf(high):
        return f"under {high:.{digits}f}" if math.isinf(low) else f"of {low:.{digits}f} or more"
    return f"from {low:.{digits}f} to {high:.{digits}f}"


def _boxes(bar: Mapping[str, int], x: float, width: float, highest: int) -> Iterator[Box]:
    """Yield a bar's boxes, stacked, after one of full height that can be clicked."""
    bottom, room = float(_HEIGHT - _BOTTOM), _HEIGHT - _TOP - _BOTTOM
    yield Box("hit", f"{x:.1f}", f"{_TOP}", f"{width:.1f}", f"{room}")
    for group, count in bar.items():
        if count:
            # A single image among thousands must still be visible.
            height = max(1.0, room * count / highest)
            bottom -= height
            yield Box(group, f"{x + 0.5:.1f}", f"{bottom:.1f}", f"{width - 1:.1f}", f"{height:.1f}")
