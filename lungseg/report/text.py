# SPDX-License-Identifier: Apache-2.0
"""Metrics as text."""

from __future__ import annotations

import math
from typing import Any

from lungseg.metrics.agreement import METRICS, is_distance


def format_value(key: str, value: float | None) -> str:
    """Write a value of the metric `key`: overlaps with four decimals, distances with two, nothing if undefined."""
    if value is None or math.isnan(value):
        return ""
    return f"{value:.2f}" if is_distance(key) else f"{value:.4f}"


def summary_cells(key: str, figures: dict[str, Any]) -> list[str]:
    """Return title, n, mean, interval, median, 5th (distances: 95th) percentile, worst value and its case."""
    low, high = (format_value(key, figures[end]) for end in ("ci_low", "ci_high"))
    tail = "p95" if is_distance(key) else "p5"
    return [
        METRICS[key],
        str(figures["n"]),
        format_value(key, figures["mean"]),
        f"{low} to {high}" if low else "",
        format_value(key, figures["median"]),
        format_value(key, figures[tail]),
        format_value(key, figures["worst"]),
        figures["worst_case"] or "",
    ]


def headline(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return title, mean and interval of the figures that come first: Dice, IoU and HD95 of both lungs of all cases.

    HD95 is in millimetres if every case has them.
    """
    metrics = summary["overall"]["metrics"]
    in_mm = "hd95_mm" in metrics and metrics["hd95_mm"]["n"] == metrics["dice"]["n"]
    keys = {"dice": "", "iou": "", **({"hd95_mm": " mm"} if in_mm else {"hd95_px": " px"})}
    row = []
    for key, unit in keys.items():
        if key in metrics:
            mean, low, high = (format_value(key, metrics[key][name]) for name in ("mean", "ci_low", "ci_high"))
            title = METRICS[key].partition(",")[0]
            row.append((title, f"{mean}{unit}" if mean else "unknown", f"{low} to {high}" if low else ""))
    return row


def headline_of(summary: dict[str, Any]) -> str:
    """Return the cases that `headline` is about, in words."""
    count, everything = summary["overall"]["n"], sum(figures["n"] for figures in summary["sets"].values())
    images = f"{count} image{'s' * (count != 1)}"
    return images if count == everything else f"{images} with {summary['extent']} lungs"


SUMMARY_HEADER = ["", "n", "mean", "95 % interval", "median", "5th/95th pct", "worst", "case"]


def summary_groups(summary: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return (title, figures) of each data set, and of all of them if there are several."""
    groups = [(name, figures) for name, figures in summary["sets"].items()]
    if len(groups) > 1:
        groups.append((f"all, {summary['extent']} lungs", summary["overall"]))
    return [(f"{name}, {figures['n']} image{'s' * (figures['n'] != 1)}", figures) for name, figures in groups]


def format_summary(summary: dict[str, Any]) -> str:
    """Write a summary (see `lungseg.metrics.summary`) for the terminal: one row for all, then a block per data set."""
    blocks = [
        (title, [summary_cells(key, values) for key, values in figures["metrics"].items()])
        for title, figures in summary_groups(summary)
    ]
    rows = [SUMMARY_HEADER, *(row for _, block in blocks for row in block)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(SUMMARY_HEADER))]
    widths[0] = max(widths[0], *(len(title) for title, _ in blocks))
    last = len(widths) - 1

    def line(row: list[str]) -> str:
        cells = [
            cell.ljust(width) if column in (0, last) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    first = ", ".join(f"{title} {mean}{interval and f' ({interval})'}" for title, mean, interval in headline(summary))
    lines = [f"{headline_of(summary)}: {first}", ""]
    for title, block in blocks:
        lines += [line([title, *SUMMARY_HEADER[1:]]), *map(line, block), ""]
    lines += [f"{name}: {note}" for name, note in summary["notes"].items()]
    return "\n".join(lines).rstrip() + "\n"
