# SPDX-License-Identifier: Apache-2.0
"""How a figure is spread over many images, as a drawing inside the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT = 360, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 8, 22
_BINS = 24
_STEPS = (1, 2, 2.5, 5, 10)


def histogram(title: str, key: str, values: Mapping[str, Sequence[float]]) -> str:
    """Return a figure element: bars over ranges of a value, stacked by group.

    Each bar is a button with what a script needs to show its images: `data-key`, `data-low` (from) and `data-high`
    (below).

    Args:
        title: what the value is, with its unit.
        key: the value's name for the script.
        values: group -> finite values; the group is also the bars' class.
    """
    every = [value for group in values.values() for value in group]
    step = _step((max(every) - min(every)) / _BINS, max(map(abs, every)))
    first, last = (math.floor(end / step) for end in (min(every), max(every)))
    counts = {group: [0] * (last - first + 1) for group in values}
    for group, members in values.items():
        for value in members:
            counts[group][math.floor(value / step) - first] += 1
    highest = max(map(sum, zip(*counts.values(), strict=True)))

    def x(place: float) -> float:
        return round(_LEFT + (place - first) * (_WIDTH - _LEFT - _RIGHT) / (last + 1 - first), 2)

    def y(count: float) -> float:
        return round(_HEIGHT - _BOTTOM - count * (_HEIGHT - _TOP - _BOTTOM) / highest, 2)

    digits = max(0, -math.floor(math.log10(step) + 1e-9) + (round(step / 10 ** math.floor(math.log10(step)), 6) == 2.5))
    parts = [
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(0)}" y2="{y(0)}"/>',
        *(
            f'<text class="tick" x="{x(place)}" y="{_HEIGHT - 6}" text-anchor="middle">{place * step:.{digits}f}</text>'
            for place in _ticks(first, last + 1)
        ),
        *(
            f'<text class="tick" x="{_LEFT - 5}" y="{y(count) + 4}" text-anchor="end">{count}</text>'
            for count in sorted({0, highest})
        ),
    ]
    for number in range(last - first + 1):
        members = {group: counts[group][number] for group in counts if counts[group][number]}
        if members:
            low, high = ((first + number + end) * step for end in (0, 1))
            told = f"{title} from {low:.{digits}f} to {high:.{digits}f}: " + ", ".join(
                f"{count} {group}" for group, count in members.items()
            )
            below, bars = 0, ""
            for group, count in members.items():
                top = y(below + count)
                bars += (
                    f'<rect class="{group}" x="{x(first + number) + 0.5}" y="{top}" '
                    f'width="{x(1) - x(0) - 1:.2f}" height="{max(1, y(below) - top):.2f}"/>'
                )
                below += count
            parts.append(
                f'<g class="bar" role="button" tabindex="0" aria-pressed="false" data-key="{key}" '
                f'data-low="{low:.6g}" data-high="{high:.6g}" aria-label="{escape(told)}"><title>{escape(told)}</title>'
                f'<rect class="hit" x="{x(first + number)}" y="{_TOP}" width="{x(1) - x(0):.2f}" '
                f'height="{_HEIGHT - _TOP - _BOTTOM}"/>{bars}</g>'
            )
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="group" aria-label="{escape(title)}">{"".join(parts)}</svg>'
        "</figure>"
    )


def _step(rough: float, largest: float) -> float:
    """Return the next round number that is at least `rough`, for values up to `largest`."""
    rough = max(rough, largest / 1000, 1e-9)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in _STEPS if factor * power >= rough * (1 - 1e-9))


def _ticks(first: int, last: int) -> range:
    """Return about five places between the first and the last, at round distances."""
    distance = next(step for step in (1, 2, 4, 5, 8, 10, 20, 40) if (last - first) / step <= 6)
    return range(-(-first // distance) * distance, last + 1, distance)
