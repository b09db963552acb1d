# SPDX-License-Identifier: Apache-2.0
"""How a figure is spread over many images, as a drawing inside the page."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

_WIDTH, _HEIGHT = 360, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 8, 22
_BINS = 24
# About the width of a digit.
_LETTER = 6
_STEPS = (1, 2, 2.5, 5, 10)
# So many times the distance of the quartiles beyond them, values share the first or the last bar: one lung that is
# fifty times the other would squeeze all others into one bar.
_REACH = 3


def histogram(title: str, key: str, values: Mapping[str, Sequence[float]]) -> str:
    """Return a figure element: bars over ranges of a value, stacked by group.

    Each bar is a button with what a script needs to show its images: `data-key`, `data-low` (from) and `data-high`
    (below), which may be infinite.

    Args:
        title: what the value is, with its unit.
        key: the value's name for the script.
        values: group -> finite values, at least one in all; the group is also the bars' class.
    """
    together = [value for group in values.values() for value in group]
    edges, step = _edges(together)
    digits = len(f"{step:g}".partition(".")[2])
    bars = [dict.fromkeys(values, 0) for _ in edges[1:]]
    for group, members in values.items():
        for value in members:
            bars[min(max(bisect_right(edges, value) - 1, 0), len(bars) - 1)][group] += 1
    highest = max(sum(bar.values()) for bar in bars)
    beyond = [-math.inf, *edges[1:-1], math.inf]
    width = (_WIDTH - _LEFT - _RIGHT) / len(bars)
    parts = [f'<path class="axis" d="M{_LEFT} {_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}"/>']
    parts += [
        f'<text x="{_LEFT - 5}" y="{y}" text-anchor="end">{count:,}</text>'
        for count, y in ((highest, _TOP + 4), (0, _HEIGHT - _BOTTOM + 4))
    ]
    ends = _ends(together, edges, digits)
    ticks = [(_LEFT + place * width, f"{edges[place]:.{digits}f}") for place in _ticks(edges, step)]
    parts += [
        f'<text x="{x:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{text}</text>'
        for x, text in ticks
        if all(abs(x - end) > _LETTER * (len(text) / 2 + len(told) + 1) for end, _, told in ends)
    ]
    parts += [f'<text x="{x}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{text}</text>' for x, anchor, text in ends]
    for number, bar in enumerate(bars):
        if any(bar.values()):
            low, high = beyond[number : number + 2]
            told = f"{title} {_range(low, high, digits)}: "
            told += ", ".join(f"{count:,} {group}" for group, count in bar.items() if count)
            drawn = _drawn(bar, _LEFT + number * width, width, highest)
            parts.append(
                f'<g class="bar" role="button" tabindex="0" aria-pressed="false" data-key="{key}" data-low="{low}" '
                f'data-high="{high}" aria-label="{escape(told)}"><title>{escape(told)}</title>{drawn}</g>'
            )
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'role="group" aria-label="{escape(title)}: {len(together):,} images">{"".join(parts)}</svg></figure>'
    )


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
    """Return the places of about five inner borders that are multiples of a rounder step: the outer bars are open."""
    every = next(factor for factor in (1, 2, 4, 5, 10, 20) if len(edges) / factor <= 6.5)
    return [place for place in range(1, len(edges) - 1) if round(edges[place] / step) % every == 0]


def _ends(values: Sequence[float], edges: Sequence[float], digits: int) -> list[tuple[int, str, str]]:
    """Return place, anchor and text of how far the outer bars reach, where that is beyond what is drawn."""
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


def _drawn(bar: Mapping[str, int], x: float, width: float, highest: int) -> str:
    """Return a bar's rectangles, stacked, on one of full height that can be clicked at."""
    bottom, room = _HEIGHT - _BOTTOM, _HEIGHT - _TOP - _BOTTOM
    drawn = f'<rect class="hit" x="{x:.1f}" y="{_TOP}" width="{width:.1f}" height="{room}"/>'
    for group, count in bar.items():
        if count:
            # A single image among thousands is still to be seen.
            height = max(1.0, room * count / highest)
            bottom -= height
            drawn += f'<rect class="{group}" x="{x + 0.5:.1f}" y="{bottom:.1f}" width="{width - 1:.1f}" '
            drawn += f'height="{height:.1f}"/>'
    return drawn
