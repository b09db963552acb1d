# SPDX-License-Identifier: Apache-2.0
"""The learning curves of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Points = list[tuple[int, float]]

_STYLES = ("-", "--", ":", "-.")
_NOT_METRICS = ("epoch", "loss", "learning_rate", "val_loss")
# An overlap is drawn by its distance to this, on a logarithmic scale, so that 0.95 and 0.97 differ as 0.1 and 0.5 do.
_TOP = 1.002
_TICKS = (0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 1)


def metric_title(name: str) -> str:
    """Return the words for a metric of a validation: "IoU" for the key metric "val_mean_iou"."""
    words = name.removeprefix("val_").removeprefix("mean_").replace("_", " ")
    return words.replace("iou", "IoU").replace("dice", "Dice")


def learning_curves(history: Sequence[dict[str, Any]], path: str | PathLike[str], best: int | None = None) -> None:
    """Draw losses, validation metrics and learning rate over the epochs into a PNG file.

    No value is left out: overlaps are drawn on a scale that is wide at the top.

    Args:
        history: a dict per epoch: `epoch`, `loss`, `learning_rate`, and in epochs that validated `val_loss` and the
            metrics by name (floats; more is better); any of them may be missing. Epoch 0 is the initial weights.
        path: the PNG file.
        best: the epoch to mark; by default that with the best value of the first metric.

    Raises:
        LungsegError: there is no epoch, or the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    if not history:
        raise LungsegError("the run has no finished epoch to draw", path, "train it for an epoch", code="no-epoch")
    names = list(dict.fromkeys(name for entry in history for name in entry if name not in _NOT_METRICS))
    curves = {name: points for name in names if (points := _points(history, name))}
    rates = _points(history, "learning_rate")
    figure = Figure(figsize=(15 if rates else 11, 4.8), layout="constrained")
    panels = figure.subplots(1, 3 if rates else 2, width_ratios=[5, 6, 4][: 3 if rates else 2])
    _draw_losses(panels[0], history)
    if best is None and curves:
        best = max(next(iter(curves.values())), key=lambda point: point[1])[0]
    _draw_metrics(panels[1], curves, best)
    if rates:
        _draw_rates(panels[2], rates)
    first, last = history[0]["epoch"], history[-1]["epoch"]
    margin = max(0.5, 0.02 * (last - first))
    for axes in panels:
        if best is not None:
            axes.axvline(best, color="0.55", linestyle=(0, (1, 2)), zorder=0)
        axes.grid(alpha=0.3)
        axes.set_xlim(first - margin, last + margin)
        axes.set_xlabel("epoch (0: the initial weights)" if first == 0 else "epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _points(history: Sequence[dict[str, Any]], name: str) -> _Points:
    """Return (epoch, value) where a value is a finite number."""
    values = ((entry["epoch"], entry.get(name)) for entry in history)
    return [(epoch, value) for epoch, value in values if isinstance(value, int | float) and math.isfinite(value)]


def _draw_losses(axes: Axes, history: Sequence[dict[str, Any]]) -> None:
    axes.set(title="Loss", ylabel="loss")
    for name, label, style, colour in (("loss", "training", ".-", "C0"), ("val_loss", "validation", ".--", "C1")):
        if points := _points(history, name):
            axes.plot(*zip(*points, strict=True), style, color=colour, label=label)
    if axes.lines:
        axes.set_ylim(*_from_zero(axes))
        _legend(axes)


def _from_zero(axes: Axes) -> tuple[float, float]:
    """Return limits that include 0, with a margin."""
    low, high = axes.dataLim.y0, axes.dataLim.y1
    return min(0.0, 1.05 * low), max(1.05 * high, 1e-9)


def _legend(axes: Axes) -> None:
    """Put the legend below the panel, where it hides nothing."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False)


def _draw_metrics(axes: Axes, curves: dict[str, _Points], best: int | None) -> None:
    axes.set(title="Validation", ylabel="overlap (0 to 1)")
    if not curves:
        axes.text(0.5, 0.5, "no validation", ha="center", transform=axes.transAxes)
        return
    for number, (name, points) in enumerate(curves.items()):
        label = metric_title(name)
        if number == 0 and best in dict(points):
            value = dict(points)[best]
            label += f" (best: {value:.4f} in epoch {best})"
            axes.plot(best, value, "o", color="C0", fillstyle="none", markersize=11)
        # Curves may coincide.
        axes.plot(
            *zip(*points, strict=True), marker=".", linestyle=_STYLES[number % 4], color=f"C{number}", label=label
        )
    values = [value for points in curves.values() for _, value in points]
    if min(values) >= 0 and max(values) <= 1:
        _widen_the_top(axes, min(values), max(values))
    else:
        axes.set_ylabel("metric")
    _legend(axes)


def _widen_the_top(axes: Axes, lowest: float, highest: float) -> None:
    def forward(value: NDArray[Any]) -> NDArray[Any]:
        return -np.log(np.clip(_TOP - value, 1e-6, None))

    axes.set_yscale("function", functions=(forward, lambda place: _TOP - np.exp(-place)))
    low, high = (float(forward(np.array(value))) for value in (lowest, highest))
    margin = max(0.06 * (high - low), 0.02)
    axes.set_ylim(*(_TOP - math.exp(-place) for place in (low - margin, high + margin)))
    shown = axes.get_ylim()
    ticks = [tick for tick in _TICKS if shown[0] <= tick <= shown[1]]
    axes.minorticks_off()
    if len(ticks) >= 3:
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])


def _draw_rates(axes: Axes, rates: _Points) -> None:
    axes.set(title="Learning rate", ylabel="mean of the epoch's steps")
    axes.plot(*zip(*rates, strict=True), ".-", color="C2")
    axes.set_ylim(*_from_zero(axes))
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
