# SPDX-License-Identifier: Apache-2.0
"""The six zones of the lungs: their areas and mean grey values, counted by hand and on real results."""

from __future__ import annotations

import csv
import json
from dataclasses import fields

import numpy as np
import pytest
from images_support import write_dicom

from lungseg.data import phantom
from lungseg.inference.predictor import Predictor
from lungseg.inference.zones import ZONES, zone_measurements
from lungseg.report.table import Row

NAMES = [f"{side}_{zone}" for side in ("right", "left") for zone in ZONES]


@pytest.fixture
def labels():
    """Right lung: seven rows, hence 3, 2 and 2 rows a zone; left lung: three rows."""
    drawing = (
        ".......",
        ".R.....",
        ".RR.L..",
        ".RR.LLL",
        ".RR.LL.",
        ".R.....",
        ".RRR...",
        "..R....",
    )
    return np.array([[".RL".index(pixel) for pixel in row] for row in drawing], dtype=np.uint8)


@pytest.fixture
def pixels(labels):
    """Grey values that are ten times the row."""
    return np.repeat(10 * np.arange(len(labels), dtype=np.float32)[:, None], labels.shape[1], axis=1)


AREAS = dict(zip(NAMES, (5, 3, 4, 1, 3, 2), strict=True))
MEANS = dict(zip(NAMES, (22.0, 43.3333, 62.5, 20.0, 30.0, 40.0), strict=True))
PIXELS = {f"{name}_px": area for name, area in AREAS.items()} | {f"{name}_mean": mean for name, mean in MEANS.items()}


def test_areas_and_means_of_thirds_of_each_lungs_own_height(labels, pixels):
    assert zone_measurements(labels, pixels, None) == PIXELS


def test_millimetres_follow_rows_and_columns(labels, pixels):
    found = zone_measurements(labels, pixels, (0.5, 3.0))
    assert found == PIXELS | {f"{name}_mm2": 1.5 * area for name, area in AREAS.items()}


@pytest.mark.parametrize("turns", range(4))
def test_the_upper_zone_is_the_patients_however_the_picture_is_turned(labels, pixels, turns):
    turned = np.rot90(labels, turns), np.rot90(pixels, turns)
    assert zone_measurements(*turned, None, turns) == PIXELS


def test_a_missing_lung_has_areas_alone(labels, pixels):
    labels[labels == 2] = 0
    found = zone_measurements(labels, pixels, (1.0, 1.0))
    assert {name: value for name, value in found.items() if name.startswith("left")} == {
        f"left_{zone}_{unit}": 0 for zone in ZONES for unit in ("px", "mm2")
    }
    assert found["right_upper_px"] == 5


@pytest.mark.parametrize(("rows", "areas"), [(1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1]), (4, [2, 1, 1])])
def test_a_lung_of_few_rows(rows, areas):
    labels = np.zeros((6, 3), np.uint8)
    labels[1 : 1 + rows, 1] = 1
    found = zone_measurements(labels, np.ones((6, 3), np.float32), None)
    assert [found[f"right_{zone}_px"] for zone in ZONES] == areas
    assert [f"right_{zone}_mean" in found for zone in ZONES] == [area > 0 for area in areas]


def test_zones_are_those_of_a_plain_search():
    rng = np.random.default_rng(0)
    for _ in range(20):
        shape = rng.integers(2, 14, 2)
        labels = rng.choice(3, size=shape, p=(0.6, 0.2, 0.2)).astype(np.uint8)
        pixels = rng.normal(size=shape).astype(np.float32)
        found = zone_measurements(labels, pixels, None)
        for side, lung in (("right", 1), ("left", 2)):
            rows, columns = np.nonzero(labels == lung)
            if not rows.size:
                continue
            zones = 3 * (rows - rows.min()) // (np.ptp(rows) + 1)
            for number, zone in enumerate(ZONES):
                inside = pixels[rows[zones == number], columns[zones == number]].astype(float)
                assert found[f"{side}_{zone}_px"] == inside.size
                if inside.size:
                    assert found[f"{side}_{zone}_mean"] == pytest.approx(inside.mean(), rel=1e-4, abs=1e-4)


def test_every_measure_is_a_column_of_the_report(labels, pixels):
    found = zone_measurements(labels, pixels, (1.0, 1.0))
    assert len(found) == 18
    assert set(found) <= {field.name for field in fields(Row)}


def test_the_report_has_the_zones_of_each_radiograph(command, run_folder, tmp_path):
    (tmp_path / "in").mkdir()
    write_dicom(tmp_path / "in" / "a.dcm", phantom(1, (96, 72))[0], PixelSpacing=[0.5, 0.25])
    done = command("predict", tmp_path / "in", "-o", tmp_path / "out", "--weights", run_folder)
    assert done.status == 0, done.err
    with (tmp_path / "out" / "report.csv").open(newline="") as file:
        (cells,) = csv.DictReader(file)
    (typed,) = json.loads((tmp_path / "out" / "report.json").read_text())["files"]
    measured = Predictor(run_folder, device="cpu").predict(tmp_path / "in" / "a.dcm").measurements
    for name in NAMES:
        for unit in ("px", "mm2", "mean"):
            value = typed[f"{name}_{unit}"]
            assert value == measured[f"{name}_{unit}"]
            assert cells[f"{name}_{unit}"] == ("" if value is None else str(value))
        assert typed[f"{name}_mm2"] == round(typed[f"{name}_px"] * 0.125, 1)
    for side in ("right", "left"):
        assert sum(typed[f"{side}_{zone}_px"] for zone in ZONES) == typed[f"{side}_px"]
