# SPDX-License-Identifier: Apache-2.0
"""A picture of all cases of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lungseg.metrics.agreement import METRICS
from lungseg.metrics.summary import bootstrap_interval
from lungseg.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = ("dice", "dice_right", "dice_left", "hd95_px")
_COLOURS = ("#0072b2", "#d55e00", "#009e73")


def plot_distribution(rows: Sequence[dict[str, Any]], path: str | PathLike[str]) -> None:
    """Draw a dot for each case, per metric and data set, with mean, interval and median, into a PNG file.

    Args:
        rows: as in `lungseg.metrics.summary.summarise`.
        path: the PNG file.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    sets = sorted({row["set"] for row in rows})
    figure = Figure(figsize=(12, 0.9 + 0.9 * len(sets) * 2), layout=ConstrainedLayoutEngine(h_pad=0.12))
    for key, axes in zip(_SHOWN, figure.subplots(2, 2).flat, strict=True):
        for place, name in enumerate(reversed(sets)):
            values = np.array([row[key] for row in rows if row["set"] == name])
            _strip(axes, values[~np.isnan(values)], place, _COLOURS[place % len(_COLOURS)])
        axes.set(title=METRICS[key], yticks=range(len(sets)), ylim=(-0.5, len(sets) - 0.5))
        axes.set_yticklabels(list(reversed(sets)))
        axes.grid(axis="x", alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def _strip(axes: Axes, values: NDArray[np.float64], place: int, colour: str) -> None:
    if not values.size:
        return
    # Spread across the strip, so that equal values are visible; the same picture each time.
    heights = place + np.random.default_rng(0).uniform(-0.25, 0.25, values.size)
    axes.plot(values, heights, ".", color=colour, alpha=0.55, markersize=6, markeredgewidth=0)
    axes.plot([np.median(values)] * 2, [place - 0.35, place + 0.35], color="black", linewidth=1)
    low, high = bootstrap_interval(values)
    axes.plot([low, high], [place + 0.4] * 2, color=colour, linewidth=3, solid_capstyle="butt")
    axes.plot(values.mean(), place + 0.4, "d", color=colour, markersize=6, markeredgecolor="white")
