# SPDX-License-Identifier: Apache-2.0
"""The figures of many images in a few numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lungseg.metrics.agreement import METRICS, is_distance

RESAMPLES = 10_000
CONFIDENCE = 0.95
_SEED = 0
# Resampled values held in memory at a time.
_CHUNK = 10_000_000


def bootstrap_interval(values: np.ndarray, seed: int = _SEED) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean (Efron and Tibshirani 1993, chapter 13).

    Args:
        values: (n,) floats, one per image, at least one.
        seed: the same seed, the same interval.
    """
    rng = np.random.default_rng(seed)
    values = np.asarray(values, dtype=np.float64)
    step = max(1, _CHUNK // values.size)
    sizes = [min(step, RESAMPLES - done) for done in range(0, RESAMPLES, step)]
    means = np.concatenate([values[rng.integers(values.size, size=(size, values.size))].mean(axis=1) for size in sizes])
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def summarise(rows: Sequence[dict]) -> dict:
    """Summarise the metrics of many cases, over all of them and per data set.

    Args:
        rows: one dict per case: `name`, `set` (as "montgomery", "shenzhen", "other") and what `case_metrics` returns.
            Their order does not matter.

    Returns:
        JSON-ready: {"overall": figures, "sets": {set: figures}, "notes": {case name: note}, "bootstrap": how}. The
        figures are {"n": number of cases, "metrics": {key: {"mean", "ci_low", "ci_high", "median", "p5" (distances:
        "p95"), "worst", "worst_case", "n", "n_left_out", "left_out" (names of cases without a figure)}}}. What is
        undefined for want of values (the interval takes two) is None. A metric that no case has (as
        millimetres without spacing) is not there.
    """
    rows = sorted(rows, key=lambda row: row["name"])
    sets = sorted({row["set"] for row in rows})
    return {
        "overall": _figures(rows),
        "sets": {name: _figures([row for row in rows if row["set"] == name]) for name in sets},
        "notes": {row["name"]: row["note"] for row in rows if row.get("note")},
        "bootstrap": {"resamples": RESAMPLES, "confidence": CONFIDENCE, "seed": _SEED, "unit": "image"},
    }


def _figures(rows: list[dict]) -> dict:
    keys = [key for key in METRICS if any(key in row for row in rows)]
    return {"n": len(rows), "metrics": {key: _of_metric(key, rows) for key in keys}}


def _of_metric(key: str, rows: list[dict]) -> dict:
    known = {row["name"]: row[key] for row in rows if not math.isnan(row.get(key, math.nan))}
    left_out = [row["name"] for row in rows if row["name"] not in known]
    tail = "p95" if is_distance(key) else "p5"
    empty = dict.fromkeys(("mean", "ci_low", "ci_high", "median", tail, "worst", "worst_case"))
    counts = {"n": len(known), "n_left_out": len(left_out), "left_out": left_out}
    if not known:
        return empty | counts
    values = np.array(list(known.values()))
    interval = bootstrap_interval(values) if len(known) > 1 else (None, None)
    worst = (max if is_distance(key) else min)(known, key=known.get)
    return {
        "mean": float(values.mean()),
        "ci_low": interval[0],
        "ci_high": interval[1],
        "median": float(np.median(values)),
        tail: float(np.percentile(values, int(tail[1:]))),
        "worst": known[worst],
        "worst_case": worst,
        **counts,
    }
