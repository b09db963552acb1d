# SPDX-License-Identifier: Apache-2.0
"""Paired differences in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lungseg.metrics.agreement import METRICS, is_distance

# Metrics that a sentence is about, the first that the cases have.
_RANKED = ("dice", "dice_right", "dice_left")
# Intervals of fewer cases are too narrow (Efron and Tibshirani 1993, chapter 14).
_FEW = 10


def describe_pair(first: str, second: str, metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Say in a sentence whether the second method is better than the first, by the Dice of both lungs.

    Args:
        first, second: their names.
        metrics: of :func:`lungseg.metrics.paired.paired_metrics`.
    """
    key = next((key for key in _RANKED if key in metrics), None)
    if key is None:
        return f"{first} and {second} have no figure in common."
    figures, what = metrics[key], METRICS[key].replace(", both lungs", "")
    on = f"on {figures['n']} case{'s' * (figures['n'] != 1)}"
    if figures["same"] == figures["n"]:
        return f"{second} and {first} have the same {what} {on}."
    mean, low, high = figures["mean"], figures["ci_low"], figures["ci_high"]
    if low is None:
        return f"{second} differs from {first} by {signed(mean)} {what} {on}: one case says nothing about others."
    interval = (
        f"95 % interval {_size(low)} to {_size(high)}" if low > 0 else f"95 % interval {_size(-high)} to {_size(-low)}"
    )
    if low > 0 or high < 0:
        relation = "better" if low > 0 else "worse"
        sentence = f"{second} is {relation} than {first} by {_size(abs(mean))} {what} ({interval}) {on}"
    else:
        between = f"{signed(mean)}, 95 % interval {signed(low)} to {signed(high)}"
        sentence = f"No difference in {what} is shown between {second} and {first} ({between}) {on}"
    few = "; so few cases make the interval too narrow" if figures["n"] < _FEW else ""
    return f"{sentence}{few}."


def format_difference(key: str, value: float | None) -> str:
    """Write a difference with its sign: of overlaps with four decimals, of distances with two."""
    if value is None:
        return ""
    return signed(value, 2 if is_distance(key) else 4)


def signed(value: float, decimals: int = 4) -> str:
    """Write a number with its sign; zero has none."""
    text = f"{abs(value):.{decimals}f}"
    if not float(text):
        return text
    return ("+" if value > 0 else "\N{MINUS SIGN}") + text


def _size(value: float) -> str:
    return f"{value:.4f}"
