# SPDX-License-Identifier: Apache-2.0
"""Compare two methods on the same cases: paired differences with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg.metrics.agreement import METRICS, is_distance
from lungseg.metrics.summary import bootstrap_interval

# Tables of cases hold six digits, so a smaller difference may be one of rounding.
_SAME = 1e-5

Row = Mapping[str, Any]


def paired_metrics(first: Sequence[Row], second: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Compare the metrics of two methods on the same cases.

    Args:
        first, second: one mapping per case each, in the same order; see :func:`lungseg.metrics.summarise`.

    Returns:
        A key of `METRICS` -> figures, as `paired_figures` returns them, for each metric that both have of some case.
    """
    figures = {}
    for key in METRICS:
        values = [np.array([row.get(key, math.nan) for row in rows], dtype=np.float64) for rows in (first, second)]
        if (found := paired_figures(values[0], values[1], is_distance(key)))["n"]:
            figures[key] = found
    return figures


def paired_figures(first: NDArray[np.float64], second: NDArray[np.float64], less_is_better: bool) -> dict[str, Any]:
    """Compare one metric of two methods on the same cases.

    Args:
        first, second: (n,) floats; cases without a value (NaN) in one of them are left out.
        less_is_better: the metric is a distance.

    Returns:
        JSON-ready: `n`; the means `first` and `second`; `mean`, `ci_low`, `ci_high` and `median` of second - first (the
        interval by :func:`lungseg.metrics.summary.bootstrap_interval`, from two cases on); the numbers of cases on
        which the second is `better`, `worse` and the `same`; and `wilcoxon_p`, the two-sided p of the signed-rank test
        (Wilcoxon 1945), None where all cases are the same. Without a case, only `n` is not None.
    """
    known = ~(np.isnan(first) | np.isnan(second))
    first, second = first[known], second[known]
    names = ("first", "second", "mean", "ci_low", "ci_high", "median", "better", "worse", "same", "wilcoxon_p")
    if not first.size:
        return {"n": 0, **dict.fromkeys(names)}
    differences = differences_of(first, second)
    low, high = bootstrap_interval(differences) if differences.size > 1 else (None, None)
    up, down = int((differences > 0).sum()), int((differences < 0).sum())
    return {
        "n": int(first.size),
        "first": float(first.mean()),
        "second": float(second.mean()),
        "mean": float(differences.mean()),
        "ci_low": low,
        "ci_high": high,
        "median": float(np.median(differences)),
        "better": down if less_is_better else up,
        "worse": up if less_is_better else down,
        "same": int(first.size) - up - down,
        "wilcoxon_p": _wilcoxon(differences),
    }


def differences_of(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return second - first for each case, and zero where the two differ by no more than a table's rounding."""
    return np.where(np.isclose(first, second, rtol=_SAME, atol=0.0), 0.0, second - first)


def _wilcoxon(differences: NDArray[np.float64]) -> float | None:
    if not differences.any():
        return None
    # Importing scipy.stats takes seconds.
    from scipy.stats import wilcoxon

    return float(wilcoxon(differences, zero_method="wilcox").pvalue)
