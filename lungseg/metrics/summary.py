# SPDX-License-Identifier: Apache-2.0
"""Summarise the metrics of many images: means with bootstrap intervals, medians, tails and worst cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lungseg.metrics.agreement import METRICS, is_distance

RESAMPLES = 10_000
CONFIDENCE = 0.95
_SEED = 0
# Resampled values in memory at a time.
_BATCH = 10_000_000
# The settings of the intervals, for the record.
BOOTSTRAP = {"resamples": RESAMPLES, "confidence": CONFIDENCE, "seed": _SEED, "unit": "image"}


def bootstrap_interval(values: np.ndarray, seed: int = _SEED) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean (Efron and Tibshirani 1993, chapter 13).

    Args:
        values: (n,) floats, one per image, at least one.
        seed: seed of the resampling; the same seed gives the same interval.
    """
    # Importing scipy.stats takes seconds.
    from scipy.stats import bootstrap

    values = np.asarray(values, dtype=np.float64)
    if values.size == 1:
        return float(values[0]), float(values[0])
    interval = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, _BATCH // values.size),
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summarise the metrics of many cases, over all of them and for each data set.

    Lungs to different extents are never averaged: if some references show the visible lungs, and others the lungs to
    their full extent, the overall figures are those of the visible lungs.

    Args:
        rows: one mapping per case: `name`, `set` (data set or source), `extent` ("visible" if it is missing) and the
            items of `case_metrics`. Their order does not matter.

    Returns:
        JSON-ready: {"extent": of the overall figures, "overall": figures, "sets": {set: figures}, "notes": {case name:
        note}, "bootstrap": settings}. The figures are {"n": number of cases, "metrics": {key: {"mean", "ci_low",
        "ci_high", "median", "p5" (distances: "p95"), "worst", "worst_case", "n", "n_excluded", "excluded" (names of
        cases without a value)}}}. A figure without enough values is None; the interval needs two. A metric that no case
        has, such as millimetres without a spacing, is missing.
    """
    rows = sorted(rows, key=lambda row: row["name"])
    sets = sorted({row["set"] for row in rows})
    first = max(row.get("extent", "visible") for row in rows)
    return {
        "extent": first,
        "overall": _figures([row for row in rows if row.get("extent", "visible") == first]),
        "sets": {name: _figures([row for row in rows if row["set"] == name]) for name in sets},
        "notes": {row["name"]: row["note"] for row in rows if row.get("note")},
        "bootstrap": dict(BOOTSTRAP),
    }


def _figures(rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    keys = [key for key in METRICS if any(key in row for row in rows)]
    return {"n": len(rows), "metrics": {key: _of_metric(key, rows) for key in keys}}


def _of_metric(key: str, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    known: dict[str, float] = {row["name"]: row[key] for row in rows if not math.isnan(row.get(key, math.nan))}
    excluded = [row["name"] for row in rows if row["name"] not in known]
    tail = "p95" if is_distance(key) else "p5"
    counts = {"n": len(known), "n_excluded": len(excluded), "excluded": excluded}
    if not known:
        return {**dict.fromkeys(("mean", "ci_low", "ci_high", "median", tail, "worst", "worst_case")), **counts}
    values = np.array(list(known.values()))
    interval = bootstrap_interval(values) if len(known) > 1 else (None, None)
    worst = (max if is_distance(key) else min)(known, key=lambda name: known[name])
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
