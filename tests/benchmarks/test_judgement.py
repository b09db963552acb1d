# SPDX-License-Identifier: Apache-2.0
"""The figures on quality and doubts: exact on results that are written down here."""

from __future__ import annotations

import pytest

from benchmarks.judgement import _flags, _summary, tables


def result(dice: float, quality: float, lower: float, doubts: str = "", notes: str = "") -> dict:
    judgement = {"quality": quality, "quality_lower": lower}
    return {
        "dice": dice,
        **judgement,
        "doubts": dict.fromkeys(doubts.split(), ""),
        "notes": dict.fromkeys(notes.split()),
    }


FOUND = [
    result(0.96, 0.95, 0.90),
    result(0.95, 0.80, 0.60, doubts="low-quality", notes="tilted"),
    result(0.85, 0.90, 0.86, notes="tilted"),
    result(0.50, 0.40, 0.20, doubts="low-quality unusual-shape"),
    result(0.70, 0.93, 0.85),
]


def test_good_and_poor_results_are_counted():
    found = _summary(FOUND)
    assert found["n"] == 5
    assert found["dice"] == pytest.approx(0.792)
    assert found["error"] == pytest.approx((0.01 + 0.15 + 0.05 + 0.10 + 0.23) / 5)
    assert found["held"] == [3, 5]
    assert found["good_doubted"] == [1, 2]
    assert found["poor_doubted"] == [1, 2]


def test_flags_are_counted_with_the_results_that_carry_them():
    assert _flags(FOUND, "doubts") == {"low-quality": [2, 1, 1], "unusual-shape": [1, 1, 1]}
    assert _flags(FOUND, "notes") == {"tilted": [2, 1, 0]}


def test_the_tables_show_shares_with_intervals():
    numbers = {
        "section": "test",
        "weights_sha256": "ab" * 32,
        "sources": [{"source": "hearts", "left_out": True} | _summary(FOUND)],
        "doubts": _flags(FOUND, "doubts"),
        "notes": _flags(FOUND, "notes"),
        "wrong": {"lateral, wards": [9, 10]},
    }
    found = tables(numbers)
    (row,) = (line for line in found["judgement"].splitlines() if line.startswith("| hearts, left out | 5 |"))
    assert "60.0% (14.7% to 94.7%, n 5)" in row
    assert "| low-quality | doubt | 2 | 50.0%" in found["flags"]
    assert "| tilted | note | 2 |" in found["flags"]
    assert "| lateral, wards | 90.0% (55.5% to 99.7%, n 10) |" in found["wrong-views"]
