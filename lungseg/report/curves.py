# SPDX-License-Identifier: Apache-2.0
"""The learning curves of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from typing import Any

from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path

# Values farther below a metric's best one are cut off: the first epochs would squeeze all others.
_SHOWN_BELOW_BEST = 0.15
_STYLES = ("-", "--", ":")


def learning_curves(history: Sequence[dict[str, Any]], path: str | PathLike[str]) -> None:
    """Draw the training loss and the validation metrics over the epochs into a PNG file.

    Args:
        history: a dict per epoch: `epoch`, `loss`, and in epochs that validated the metrics by name (floats; more is
            better). The best epoch of the first metric is marked.
        path: the PNG file.

    Raises:
        LungsegError: there is no epoch, or the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    if not history:
        raise LungsegError("the run has no finished epoch to draw", path, "train it for an epoch", code="no-epoch")
    names = list(dict.fromkeys(name for entry in history for name in entry if name not in ("epoch", "loss")))
    names = [name for name in names if all(isinstance(entry.get(name, 0.0), int | float) for entry in history)]
    figure = Figure(figsize=(11, 4), layout="constrained")
    loss, metrics = figure.subplots(1, 2)
    loss.plot([entry["epoch"] for entry in history], [entry["loss"] for entry in history], ".-", color="0.3")
    loss.set(title="Training loss", xlabel="epoch")
    metrics.set(title="Validation", xlabel="epoch")
    least_best, lowest = 1.0, 1.0
    for number, name in enumerate(names):
        points = [(entry["epoch"], entry[name]) for entry in history if math.isfinite(entry.get(name, math.nan))]
        if not points:
            continue
        title = name.removeprefix("val_").replace("_", " ").replace("iou", "IoU").replace("dice", "Dice")
        # Curves may coincide.
        metrics.plot(*zip(*points, strict=True), marker=".", linestyle=_STYLES[number % len(_STYLES)], label=title)
        epoch, best = max(points, key=lambda point: point[1])
        least_best, lowest = min(least_best, best), min(lowest, *(value for _, value in points))
        if number == 0:
            metrics.axvline(epoch, color="0.6", linestyle=":", label=f"best {title}: {best:.4f}, epoch {epoch}")
    if metrics.lines:
        bottom = least_best - _SHOWN_BELOW_BEST
        metrics.set_ylim(bottom=max(lowest - 0.01, bottom))
        if lowest < bottom:
            metrics.set_title(f"Validation (values below {bottom:.2f} are not shown)")
        figure.legend(loc="outside lower center", ncols=4)
    else:
        metrics.text(0.5, 0.5, "no validation", ha="center", transform=metrics.transAxes)
    for axes in (loss, metrics):
        axes.grid(alpha=0.3)
        axes.set_xlim(history[0]["epoch"] - 0.5, history[-1]["epoch"] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
