# SPDX-License-Identifier: Apache-2.0
"""The numbers of a label map, counted by hand."""

from dataclasses import fields

import numpy as np
import pytest

from lungseg.inference.measurements import full_measurements, measurements
from lungseg.report.table import Row


@pytest.fixture
def labels():
    """Right lung: rows 1 to 3, columns 1 to 4, shaped like an L; left lung: two parts in rows 2 and 4."""
    drawing = (
        ".........",
        ".R.......",
        ".R....LL.",
        ".RRRR....",
        "......L.L",
        ".........",
    )
    return np.array([[".RL".index(pixel) for pixel in row] for row in drawing], dtype=np.uint8)


PIXELS = {
    "image_width": 9,
    "image_height": 6,
    "right_px": 6,
    "left_px": 4,
    "lungs_px": 10,
    "left_right_ratio": 0.667,
    "right_x": 1,
    "right_y": 1,
    "right_w": 4,
    "right_h": 3,
    "left_x": 6,
    "left_y": 2,
    "left_w": 3,
    "left_h": 3,
    "right_width_px": 4,
    "left_width_px": 3,
    # Of row 2, from the right lung's first column to the left lung's last one; no other row is wider.
    "lungs_width_px": 7,
}


def test_areas_boxes_and_widths_in_pixels(labels):
    assert measurements(labels, None) == PIXELS


def test_millimetres_follow_rows_and_columns(labels):
    millimetres = {
        "right_mm2": 6.0,
        "left_mm2": 4.0,
        "lungs_mm2": 10.0,
        "right_width_mm": 8.0,
        "left_width_mm": 6.0,
        "lungs_width_mm": 14.0,
    }
    assert measurements(labels, (0.5, 2.0)) == PIXELS | millimetres


def test_what_a_missing_lung_would_have_is_left_out(labels):
    labels[labels == 2] = 0
    found = measurements(labels, (1.0, 1.0))
    assert (found["left_px"], found["left_mm2"], found["lungs_px"]) == (0, 0.0, 6)
    assert not {"left_right_ratio", "left_x", "left_w", "left_width_px", "left_width_mm", "lungs_width_px"} & set(found)
    assert (found["right_w"], found["right_width_mm"]) == (4, 4.0)


def test_an_empty_label_map_has_areas_alone():
    found = measurements(np.zeros((3, 5), np.uint8), None)
    assert found == {"image_width": 5, "image_height": 3, "right_px": 0, "left_px": 0, "lungs_px": 0}


def test_a_lung_that_fills_the_picture():
    found = measurements(np.full((3, 5), 2, np.uint8), None)
    assert [found[f"left_{key}"] for key in ("x", "y", "w", "h", "width_px")] == [0, 0, 5, 3, 5]


def test_boxes_and_widths_are_those_of_a_plain_search():
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels = rng.choice(3, size=rng.integers(2, 12, 2), p=(0.8, 0.1, 0.1)).astype(np.uint8)
        found = measurements(labels, None)
        for side, lung in (("right", 1), ("left", 2)):
            rows, columns = np.nonzero(labels == lung)
            if rows.size:
                box = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
                assert tuple(found[f"{side}_{key}"] for key in "xywh") == box
                widths = [np.ptp(columns[rows == row]) + 1 for row in set(rows.tolist())]
                assert found[f"{side}_width_px"] == max(widths)
        rows, columns = np.nonzero(labels)
        if "lungs_width_px" in found:
            assert found["lungs_width_px"] == max(np.ptp(columns[rows == row]) + 1 for row in set(rows.tolist()))


def test_every_measure_is_a_column_of_the_report(labels):
    assert set(measurements(labels, (1.0, 1.0))) <= {field.name for field in fields(Row)}


def test_both_extents_and_the_heart_are_counted(labels):
    # Columns 2 to 5 of rows 3 and 4 are heart; it hides three pixels of the right lung.
    heart = np.zeros(labels.shape, dtype=bool)
    heart[3:5, 2:6] = True
    regions = (labels + 4 * ((labels > 0) & ~heart) + 8 * heart).astype(np.uint8)
    found = full_measurements(regions, None)
    assert found == {
        "full_right_px": 6,
        "full_left_px": 4,
        "full_lungs_px": 10,
        "hidden_share": 0.3,
        "heart_px": 8,
    }
    millimetres = full_measurements(regions, (0.5, 2.0))
    assert millimetres["heart_mm2"] == 8.0
    assert set(millimetres) <= {field.name for field in fields(Row)}
    assert "hidden_share" not in full_measurements(np.zeros((3, 5), np.uint8), None)
