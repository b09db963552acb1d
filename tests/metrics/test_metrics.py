# SPDX-License-Identifier: Apache-2.0
"""Overlap, distances, their policy for empty masks, and their summary, against values computed by hand."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from errors_support import fails

from lungseg.metrics.agreement import METRICS, case_metrics, is_distance
from lungseg.metrics.summary import bootstrap_interval, summarise
from lungseg.report import format_summary

LUNGS = ("", "_right", "_left")


def label_map(right=None, left=None, shape=(20, 30)):
    """Draw the lungs as boxes (row, row, column, column)."""
    labels = np.zeros(shape, np.uint8)
    for value, box in ((1, right), (2, left)):
        if box:
            labels[box[0] : box[1], box[2] : box[3]] = value
    return labels


REFERENCE = label_map((4, 14, 3, 9), (4, 14, 20, 26))


def test_perfect():
    metrics = case_metrics(REFERENCE, REFERENCE, (0.5, 0.5))
    assert metrics.pop("note") == ""
    assert set(metrics) == set(METRICS) - {"dice_heart"}
    for key, value in metrics.items():
        assert value == (0 if is_distance(key) else 1)


def test_shifted_by_one_row():
    # 60 pixels each, 54 in common: IoU 54 / 66, Dice 108 / 120.
    pred = np.roll(REFERENCE, 1, axis=0)
    metrics = case_metrics(pred, REFERENCE)
    assert not any("_mm" in key for key in metrics)
    for lung in LUNGS:
        assert metrics[f"iou{lung}"] == pytest.approx(54 / 66)
        assert metrics[f"dice{lung}"] == pytest.approx(0.9)
        assert metrics[f"hd95{lung}_px"] == 1
        # Of 28 border pixels of a 10 x 6 box, 10 lie one pixel from the other border: an end row of 6 wholly off,
        # and the other end's inner 4, where the other box is solid.
        assert metrics[f"assd{lung}_px"] == pytest.approx(10 / 28)
        # Half a percent of the longer side, 30 pixels, is less than one: 18 of the 28 lie on the other border.
        assert metrics[f"nsd{lung}_px"] == pytest.approx(18 / 28)


@pytest.mark.parametrize(("rows", "share"), [(0, 1), (1, 1), (2, 1), (3, 0.5)])
def test_surface_dice_in_millimetres_has_a_tolerance_of_two(rows, share):
    # Two lines of 100 pixels, one of them moved; all of a line is its border.
    left, shape = (25, 26, 0, 100), (40, 100)
    pred, reference = (label_map((at, at + 1, 0, 100), left, shape) for at in (5 + rows, 5))
    metrics = case_metrics(pred, reference, (1.0, 0.2))
    assert metrics["nsd_mm"] == share
    assert metrics["nsd_left_mm"] == 1
    assert metrics["nsd_right_mm"] == (share == 1)


def test_surface_dice_in_pixels_has_half_a_percent_of_the_longer_side():
    for longer, share in ((399, 0.0), (400, 1.0)):
        reference = label_map((5, 6, 0, 100), None, (20, longer))
        metrics = case_metrics(np.roll(reference, 2, axis=0), reference)
        assert metrics["nsd_right_px"] == metrics["nsd_px"] == share


def test_spacing_is_row_then_column():
    rows, columns = (case_metrics(np.roll(REFERENCE, 1, axis=axis), REFERENCE, (0.3, 0.2)) for axis in (0, 1))
    assert rows["hd95_px"] == columns["hd95_px"] == 1
    assert rows["hd95_mm"] == pytest.approx(0.3)
    # Of the 10, two lie nearer to the other border sideways.
    assert rows["assd_mm"] == pytest.approx((8 * 0.3 + 2 * 0.2) / 28)
    assert columns["hd95_mm"] == pytest.approx(0.2)


def test_directed_percentiles():
    # A line of 100 pixels and the same line with one pixel 10 away: 1 % of one border, so that the 95th percentile
    # does not see it, while the mean does.
    reference = label_map((5, 6, 0, 100), None, (30, 100))
    pred = reference.copy()
    pred[15, 50] = 1
    metrics = case_metrics(pred, reference)
    assert metrics["hd95_right_px"] == 0
    assert metrics["assd_right_px"] == pytest.approx(10 / 201)


def test_lungs_at_the_edge_have_borders_there():
    whole = np.ones((6, 8), np.uint8)
    inner = np.zeros((6, 8), np.uint8)
    inner[1:-1, 1:-1] = 1
    assert case_metrics(inner, whole)["hd95_right_px"] == pytest.approx(np.sqrt(2), abs=0.42)
    assert case_metrics(whole, whole)["assd_right_px"] == 0


def test_position_in_the_picture_does_not_matter():
    pred = np.roll(REFERENCE, 2, axis=1)
    far = [np.pad(array, ((300, 7), (11, 400))) for array in (pred, REFERENCE)]
    there, here = case_metrics(*far), case_metrics(pred, REFERENCE)
    # Their tolerance grows with the picture.
    grown = {f"nsd{lung}_px" for lung in LUNGS}
    assert {key: there[key] for key in there if key not in grown} == {
        key: here[key] for key in here if key not in grown
    }


def test_swapped_sides_are_right_as_a_union_alone():
    metrics = case_metrics(label_map((4, 14, 20, 26), (4, 14, 3, 9)), REFERENCE)
    assert metrics["dice"] == 1
    assert metrics["dice_right"] == metrics["dice_left"] == 0
    assert metrics["hd95_right_px"] == pytest.approx(17, abs=1)


@pytest.mark.parametrize("spacing", [None, (0.5, 0.25)])
def test_both_empty_is_nan(spacing):
    empty = np.zeros((20, 30), np.uint8)
    metrics = case_metrics(empty, empty, spacing)
    assert metrics.pop("note") == "both lungs empty; right lung empty; left lung empty"
    assert all(math.isnan(value) for value in metrics.values())
    assert any("_mm" in key for key in metrics) == bool(spacing)


@pytest.mark.parametrize(("missed", "note"), [(True, "missed"), (False, "found where the reference has none")])
def test_miss_and_invention_never_look_good(missed, note):
    empty = np.zeros_like(REFERENCE)
    pair = (empty, REFERENCE) if missed else (REFERENCE, empty)
    metrics = case_metrics(*pair, (0.5, 2.0))
    assert metrics["note"] == f"both lungs {note}; right lung {note}; left lung {note}"
    for lung in LUNGS:
        assert metrics[f"dice{lung}"] == metrics[f"iou{lung}"] == 0
        assert metrics[f"nsd{lung}_px"] == metrics[f"nsd{lung}_mm"] == 0
        assert metrics[f"hd95{lung}_px"] == metrics[f"assd{lung}_px"] == pytest.approx(math.hypot(20, 30))
        assert metrics[f"hd95{lung}_mm"] == metrics[f"assd{lung}_mm"] == pytest.approx(math.hypot(10, 60))


def test_one_lung_missed():
    pred = np.where(REFERENCE == 1, 1, 0).astype(np.uint8)
    metrics = case_metrics(pred, REFERENCE)
    assert metrics["note"] == "left lung missed"
    assert metrics["dice"] == pytest.approx(2 / 3)
    assert (metrics["dice_right"], metrics["dice_left"]) == (1, 0)
    assert metrics["hd95_left_px"] == pytest.approx(math.hypot(20, 30))


def test_sides_not_believed_leave_the_union():
    metrics = case_metrics(REFERENCE, np.where(REFERENCE, 255, 0).astype(np.uint8))
    assert metrics["dice"] == 1
    assert metrics["hd95_px"] == 0
    assert all(math.isnan(value) for key, value in metrics.items() if "right" in key or "left" in key)
    assert metrics["note"] == "reference laterality unknown"


def test_wrong_arrays_are_refused():
    with fails("size-mismatch"):
        case_metrics(REFERENCE, REFERENCE[:, 1:])
    with fails("not-a-label-map"):
        case_metrics(REFERENCE * 255, REFERENCE)
    with fails("not-a-label-map"):
        case_metrics(REFERENCE + 1, REFERENCE)


def rows_of(values, name="montgomery"):
    return [
        {"name": f"{name}{number}", "set": name, "dice": value, "hd95_px": 10 * (1 - value), "note": ""}
        for number, value in enumerate(values)
    ]


def test_summary_of_known_values():
    values = [0.9, 0.95, 1.0, 0.8, 0.85]
    figures = summarise(rows_of(values))["sets"]["montgomery"]
    assert figures["n"] == 5
    dice, distance = figures["metrics"]["dice"], figures["metrics"]["hd95_px"]
    assert dice["mean"] == pytest.approx(0.9)
    assert dice["median"] == pytest.approx(0.9)
    assert dice["p5"] == pytest.approx(np.percentile(values, 5))
    assert (dice["worst"], dice["worst_case"]) == (0.8, "montgomery3")
    assert distance["p95"] == pytest.approx(10 - 10 * np.percentile(values, 5))
    assert distance["worst_case"] == "montgomery3"
    assert dice["ci_low"] < 0.9 < dice["ci_high"]


def test_interval_agrees_with_the_normal_approximation_and_is_reproducible():
    values = np.random.default_rng(5).normal(0.9, 0.05, 400)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.0004)
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval(values, seed=1) != (low, high)
    assert bootstrap_interval(values[:1]) == (values[0], values[0])


def test_the_interval_is_imported_when_it_is_needed():
    code = "import sys, lungseg.metrics.summary; sys.exit('scipy.stats' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_summary_does_not_depend_on_the_order():
    rows = rows_of(np.random.default_rng(0).uniform(0.5, 1, 30)) + rows_of([0.7, 0.8], "shenzhen")
    assert summarise(rows) == summarise(rows[::-1])


def test_nan_is_excluded_but_counted_by_name():
    rows = rows_of([0.9, math.nan, 0.7])
    rows[1]["note"] = "both lungs empty"
    summary = summarise(rows)
    dice = summary["overall"]["metrics"]["dice"]
    assert dice["mean"] == pytest.approx(0.8)
    assert (dice["n"], dice["n_excluded"], dice["excluded"]) == (2, 1, ["montgomery1"])
    assert summary["notes"] == {"montgomery1": "both lungs empty"}
    json.dumps(summary, allow_nan=False)


def test_one_value_and_none():
    one = summarise(rows_of([0.9]))["overall"]["metrics"]["dice"]
    assert (one["mean"], one["ci_low"], one["ci_high"]) == (0.9, None, None)
    none = summarise(rows_of([math.nan]))["overall"]["metrics"]["dice"]
    assert (none["mean"], none["worst_case"], none["n"], none["n_excluded"]) == (None, None, 0, 1)


def test_text_table():
    rows = rows_of([0.9, 0.95]) + rows_of([0.5, math.nan], "shenzhen")
    rows[3]["note"] = "both lungs empty"
    text = format_summary(summarise(rows))
    lines = text.splitlines()
    assert lines[0].startswith("4 images: Dice 0.7833 (0.5000 to 0.9500), HD95 2.17 px (")
    assert lines[2].startswith("montgomery, 2 images")
    assert lines[3].split()[:6] == ["Dice,", "both", "lungs", "2", "0.9250", "0.9000"]
    assert [line.split(",")[0] for line in lines[1:] if " images" in line] == ["montgomery", "shenzhen", "all"]
    assert lines[-1] == "shenzhen1: both lungs empty"
    # The names of groups with few figures fit too.
    text = format_summary(summarise(rows_of([math.nan])))
    assert text.startswith("1 image: Dice unknown, HD95 unknown\n\nmontgomery, 1 image  ")
