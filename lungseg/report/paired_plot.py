# SPDX-License-Identifier: Apache-2.0
"""A plot of paired differences, as places that a page draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg.metrics.agreement import is_distance
from lungseg.report.verdict import signed

WIDTH, HEIGHT = 520, 150
_LEFT, _RIGHT = 16, 504
# Dots lie between these heights, the mean and its interval above them.
_DOTS, _MEAN = (46, 106), 26
# The axis holds this share of the cases; the others are drawn at its end.
_SHARE = 95
_ROOM = 1.25
_TICKS = 5


def plot_differences(
    key: str, differences: NDArray[np.float64], names: Sequence[str], figures: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the places of a dot for each case, of the mean and its interval, and of the axis.

    Args:
        key: the metric.
        differences: (n,) floats, second - first, without NaN.
        names: of the cases.
        figures: of the differences, see :func:`lungseg.metrics.paired.paired_figures`.

    Returns:
        `dots` (x, y, `name`, `value` as text, and `beyond`: the case lies outside the axis), `ticks` (x and text),
        `zero`, `mean`, `low` and `high` (x), `beyond` (number of cases outside the axis) and `left_is_better`: negative
        differences mean that the second method is better.
    """
    from matplotlib.ticker import MaxNLocator

    ends = [abs(figures[end]) for end in ("mean", "ci_low", "ci_high") if figures[end] is not None]
    reach = _ROOM * max(float(np.percentile(np.abs(differences), _SHARE)), *ends)
    reach = reach or float(np.abs(differences).max()) or 1.0

    def place(value: float) -> float:
        share = (np.clip(value / reach, -1, 1) + 1) / 2
        return round(float(_LEFT + share * (_RIGHT - _LEFT)), 1)

    # The same picture each time.
    heights = np.random.default_rng(0).uniform(*_DOTS, differences.size)
    steps = [tick for tick in MaxNLocator(_TICKS).tick_values(-reach, reach) if abs(tick) <= reach]
    decimals = next((n for n in range(7) if all(abs(round(tick, n) - tick) < 1e-9 for tick in steps)), 6)
    beyond = np.abs(differences) > reach
    return {
        "dots": [
            {
                "x": place(value),
                "y": round(float(height), 1),
                "name": name,
                "value": signed(value, 2 if is_distance(key) else 4),
                "beyond": bool(outside),
            }
            for value, height, name, outside in zip(differences.tolist(), heights, names, beyond, strict=True)
        ],
        "ticks": [(place(tick), signed(tick, decimals)) for tick in steps],
        "zero": place(0),
        "mean": place(figures["mean"]),
        "low": place(figures["ci_low"]) if figures["ci_low"] is not None else None,
        "high": place(figures["ci_high"]) if figures["ci_high"] is not None else None,
        "mean_height": _MEAN,
        "beyond": int(beyond.sum()),
        "left_is_better": is_distance(key),
    }
