# SPDX-License-Identifier: Apache-2.0
"""Crops for classifiers: where they lie, their grey values, and that a later run makes no more of them than it must."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from errors_support import fails
from images_support import write_dicom
from PIL import Image

import lungseg
from lungseg.data import phantom
from lungseg.inference.crop import as_png_values, crop_to, lung_box
from lungseg.inference.predict import predict
from lungseg.io import read_radiograph


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def rows(out: Path) -> list[dict]:
    return json.loads((out / "report.json").read_text())["files"]


def box(row: dict) -> tuple[slice, slice]:
    return (
        slice(row["crop_y"], row["crop_y"] + row["crop_h"]),
        slice(row["crop_x"], row["crop_x"] + row["crop_w"]),
    )


@pytest.fixture
def lungs() -> np.ndarray:
    """Two lungs in rows 10 to 49 and columns 20 to 119 of 100 x 150 pixels."""
    found = np.zeros((100, 150), np.uint8)
    found[10:40, 20:60], found[15:50, 80:120] = 1, 2
    return found


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        (0, (20, 10, 100, 40)),
        (0.05, (15, 8, 110, 44)),
        # As far as the picture goes.
        (0.25, (0, 0, 145, 60)),
        (1, (0, 0, 150, 90)),
    ],
)
def test_the_margin_is_a_share_of_the_lungs_box(lungs, margin, expected):
    assert lung_box(lungs, margin) == expected


@pytest.mark.parametrize("margin", [-0.01, 1.01, float("nan")])
def test_a_margin_that_is_no_share_is_wrong_use(lungs, margin, tmp_path):
    with fails("crop-margin-out-of-range"):
        lung_box(lungs, margin)
    with fails("crop-margin-out-of-range"):
        predict("missing", tmp_path / "out", kinds=["crop"], crop_margin=margin)
    assert not (tmp_path / "out").exists()


def test_no_lung_is_no_crop(lungs):
    with fails("no-lung-found"):
        lung_box(0 * lungs, 0.1)


@pytest.mark.parametrize(
    ("values", "kind", "kept"),
    [
        ([0, 7, 255], np.uint8, [0, 7, 255]),
        ([0, 7, 256], np.uint16, [0, 7, 256]),
        ([3, 7, 65535], np.uint16, [3, 7, 65535]),
        ([0, 1, 65537], np.uint16, [0, 1, 65535]),
        ([-1000, 0, 1000], np.uint16, [0, 32768, 65535]),
        ([0, 0.25, 1], np.uint16, [0, 16384, 65535]),
        ([-5, -5, -5], np.uint16, [0, 0, 0]),
        ([0.5, 0.5, 0.5], np.uint16, [0, 0, 0]),
    ],
)
def test_grey_values_are_kept_where_a_png_file_can_hold_them(values, kind, kept):
    found = as_png_values(np.array([values], dtype=np.float32))
    assert found.dtype == kind
    assert found.tolist() == [kept]


def test_an_inverted_picture_is_inverted_between_its_own_extremes():
    stored = np.array([[10, 30], [200, 240]], dtype=np.float32)
    assert crop_to((1, 0, 1, 2), stored, inverted=True).pixels.tolist() == [[220], [10]]
    assert as_png_values(stored, inverted=True).dtype == np.uint8


@pytest.fixture
def source(tmp_path) -> Path:
    """A PNG file, a DICOM file of 12 bits that is MONOCHROME1, and a NIfTI file with negative values."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    picture = phantom(1, (96, 72))[0]
    Image.fromarray(picture).save(folder / "a.png")
    deep = 4095 - 16 * picture.astype(np.uint16)
    write_dicom(folder / "sub" / "b.dcm", deep, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    nibabel.save(
        nibabel.Nifti1Image(picture.T[..., None] - np.float32(1000.5), np.diag([-1, -1, 1, 1])), folder / "c.nii"
    )
    return folder


def test_the_crop_is_that_part_of_the_picture(command, run_folder, source, tmp_path):
    out = tmp_path / "out"
    done = command("predict", source, "-o", out, "--weights", run_folder, "--save", "crop", "--crop-margin", ".1")
    assert done.status == 0, done.err
    found = rows(out)
    assert [row["name"] for row in found] == ["a", "c", "sub/b"]
    for row in found:
        whole = read_radiograph(source / Path(row["file"]).relative_to(source)).pixels
        labels = pixels(out / "labels" / f"{row['name']}.png").copy()
        crop = pixels(out / "crop" / f"{row['name']}.png")
        expected = lung_box(labels, 0.1)
        assert tuple(row[f"crop_{key}"] for key in "xywh") == expected
        assert row["crop_margin"] == 0.1
        assert crop.shape == (row["crop_h"], row["crop_w"])
        assert np.array_equal(crop, as_png_values(whole)[box(row)])
        # Nothing but background is outside.
        labels[box(row)] = 0
        assert not labels.any()
    depths = {Path(row["name"]).name: pixels(out / "crop" / f"{row['name']}.png").max() for row in found}
    assert depths["a"] <= 255 < depths["b"] <= 4095 < depths["c"]
    with (out / "report.csv").open(newline="") as file:
        assert [int(line["crop_x"]) for line in csv.DictReader(file)] == [row["crop_x"] for row in found]


def test_another_margin_makes_the_crops_again_and_nothing_else(command, run_folder, source, tmp_path):
    out = tmp_path / "out"
    call = ("predict", source, "-o", out, "--weights", run_folder)

    def times() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for kind in ("crop", "masks") for file in (out / kind).rglob("*.png")}

    assert command(*call, "--save", "crop").status == 0
    first, before = rows(out), times()
    assert command(*call, "--save", "crop").status == 0
    assert times() == before
    assert rows(out) == first

    done = command(*call, "--save", "crop", "--crop-margin", "0")
    assert done.status == 0
    assert "has changed" not in done.err
    assert {file.parts[len(out.parts)] for file, time in times().items() if time != before[file]} == {"crop"}
    narrow = rows(out)
    for row, wide in zip(narrow, first, strict=True):
        assert (row["crop_margin"], wide["crop_margin"]) == (0, 0.05)
        assert row["crop_w"] < wide["crop_w"]
        assert pixels(out / "crop" / f"{row['name']}.png").shape == (row["crop_h"], row["crop_w"])

    # The columns describe the file that is there, also in the report of a run that asks for another kind.
    assert command(*call, "--save", "nifti").status == 0
    columns = [{key: value for key, value in row.items() if key.startswith("crop")} for row in rows(out)]
    assert columns == [{key: row[key] for key in columns[0]} for row in narrow]


def test_a_radiograph_without_lungs_has_no_crop_and_the_reason_says_so(command, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((96, 96), np.uint8)).save(tmp_path / "in" / "black.png")
    Image.fromarray(phantom(1, (256, 224))[0]).save(tmp_path / "in" / "chest.png")
    done = command("predict", tmp_path / "in", "-o", tmp_path / "out", "--save", "crop")
    assert done.status == 0, done.err
    black, chest = rows(tmp_path / "out")
    assert black["reason"].endswith("crop was not written: no lung was found")
    assert black["crop_x"] is None
    assert black["crop_margin"] is None
    assert [file.name for file in (tmp_path / "out" / "crop").iterdir()] == ["chest.png"]
    assert "crop" not in chest["reason"]


def test_without_the_kind_there_are_no_columns(command, run_folder, source, tmp_path):
    assert command("predict", source / "a.png", "-o", tmp_path / "out", "--weights", run_folder).status == 0
    (row,) = rows(tmp_path / "out")
    assert [value for key, value in row.items() if key.startswith("crop")] == [None] * 5


@pytest.mark.parametrize("margin", ["-1", "2", "wide", "nan"])
def test_the_command_refuses_a_margin_that_is_no_share(command, source, tmp_path, margin):
    done = command("predict", source, "-o", tmp_path / "out", "--save", "crop", f"--crop-margin={margin}")
    assert done.status == 2
    assert "is not a number from 0 to 1" in done.err
    assert not (tmp_path / "out").exists()


def test_a_prediction_gives_its_crop(run_folder, source):
    lungs = lungseg.load(run_folder, "cpu").predict(source / "a.png")
    crop = lungs.crop(0)
    x, y, width, height = lungs.crop_box(0)
    assert (crop.x, crop.y, crop.pixels.shape) == (x, y, (height, width))
    assert np.array_equal(crop.pixels, pixels(source / "a.png")[y : y + height, x : x + width])


def test_results_are_not_segmented_again(command, run_folder, source, tmp_path):
    call = ("predict", source, "-o", source / "out", "--weights", run_folder, "--save", "crop,coco,labelme")
    for _ in range(2):
        assert command(*call).status == 0
        assert [row["name"] for row in rows(source / "out")] == ["a", "c", "sub/b"]
    done = command("predict", source, "-o", tmp_path / "other", "--weights", run_folder)
    assert [row["name"] for row in rows(tmp_path / "other")] == ["a", "c", "sub/b"], done.err
