# SPDX-License-Identifier: Apache-2.0
"""Paired differences, against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lungseg.metrics.paired import paired_figures, paired_metrics
from lungseg.metrics.summary import bootstrap_interval

FIRST = np.array([0.9, 0.8, 0.7, math.nan, 0.6])
SECOND = np.array([0.95, 0.8, 0.6, 0.5, 0.7])


def test_differences_are_second_minus_first_on_cases_that_both_have():
    found = paired_figures(FIRST, SECOND, less_is_better=False)
    assert found["n"] == 4
    assert (found["first"], found["second"]) == (pytest.approx(0.75), pytest.approx(0.7625))
    assert (found["mean"], found["median"]) == (pytest.approx(0.0125), pytest.approx(0.025))
    assert (found["better"], found["worse"], found["same"]) == (2, 1, 1)
    low, high = bootstrap_interval(np.array([0.05, 0.0, -0.1, 0.1]))
    assert (found["ci_low"], found["ci_high"]) == (pytest.approx(low), pytest.approx(high))


def test_a_smaller_distance_is_better():
    found = paired_figures(FIRST, SECOND, less_is_better=True)
    assert (found["better"], found["worse"], found["same"]) == (1, 2, 1)
    assert found["mean"] == pytest.approx(0.0125)


def test_wilcoxon_is_exact_for_few_cases():
    # All five of five differences have one sign: 2 of 2^5 assignments are as extreme.
    found = paired_figures(np.zeros(5), np.arange(1.0, 6.0), less_is_better=False)
    assert found["wilcoxon_p"] == pytest.approx(2 / 32)


def test_a_difference_of_rounding_is_none():
    found = paired_figures(np.array([0.98765432, 123.456]), np.array([0.987654, 123.4561]), less_is_better=False)
    assert (found["same"], found["mean"], found["wilcoxon_p"]) == (2, 0.0, None)


def test_one_case_has_no_interval_and_none_has_nothing():
    found = paired_figures(FIRST[:1], SECOND[:1], less_is_better=False)
    assert (found["n"], found["ci_low"], found["mean"]) == (1, None, pytest.approx(0.05))
    nothing = paired_figures(np.full(2, math.nan), np.ones(2), less_is_better=False)
    assert nothing.pop("n") == 0
    assert set(nothing.values()) == {None}


def test_metrics_that_one_of_them_lacks_are_left_out():
    first = [{"dice": 0.9, "hd95_px": 3.0}, {"dice": 0.8, "hd95_px": math.nan}]
    second = [{"dice": 0.8}, {"dice": 0.8, "hd95_px": 2.0}]
    assert list(paired_metrics(first, second)) == ["dice"]
