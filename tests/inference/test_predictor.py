# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict`: its files, their names and values, and its messages."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from data_support import REAL, needs_real_data
from images_support import write_dicom
from PIL import Image

import lungseg
from lungseg.cli.demo import real_radiograph
from lungseg.data import phantom
from lungseg.inference.predict import predict

KINDS = ("labels", "masks", "overlays")
REPORTS = ["report.csv", "report.html", "report.json"]
RECORD = ["records.jsonl", "records.lock"]


def report(folder: Path) -> list[dict]:
    with (folder / "report.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def written(folder: Path) -> list[str]:
    """The files below `folder`, without their ending where it is .png."""
    files = (
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name not in RECORD
    )
    return sorted(name.removesuffix(".png") for name in files)


@pytest.fixture
def picture(dataset) -> Path:
    return dataset / "CXR_png" / "phantom_0001.png"


def test_masks_labels_and_overlays_have_the_inputs_size_and_their_values(command, run_folder, picture, tmp_path):
    done = command("predict", picture, "-o", tmp_path / "out", "--weights", run_folder)
    assert done.status == 0, done.err
    assert written(tmp_path / "out") == [
        *(f"{kind}/phantom_0001" for kind in KINDS),
        *REPORTS,
        "thumbnails/phantom_0001.jpg",
    ]
    with Image.open(picture) as image:
        size = image.size
    assert size == (96, 72)
    for kind, mode in (("masks", "L"), ("labels", "L"), ("overlays", "P")):
        with Image.open(tmp_path / "out" / kind / "phantom_0001.png") as image:
            assert (image.size, image.mode, image.format) == (size, mode, "PNG")
    labels, mask = (pixels(tmp_path / "out" / kind / "phantom_0001.png") for kind in ("labels", "masks"))
    assert set(np.unique(labels)) <= {0, 1, 2}
    assert labels.any()
    assert np.array_equal(mask, np.where(labels > 0, 255, 0))


def test_the_report_starts_with_file_status_reason_and_counts_pixels(command, run_folder, picture, tmp_path):
    command("predict", picture, "-o", tmp_path, "--weights", run_folder)
    header = (tmp_path / "report.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert header[:3] == ["file", "status", "reason"]
    assert header[-1] == "seconds"
    (row,) = report(tmp_path)
    labels = pixels(tmp_path / "labels" / "phantom_0001.png")
    assert row["file"] == str(picture)
    assert [int(row[f"{name}_px"]) for name in ("right", "left", "lungs")] == [
        (labels == 1).sum(),
        (labels == 2).sum(),
        (labels > 0).sum(),
    ]
    assert row["lungs_mm2"] == ""
    assert row["spacing_kind"] == "unknown"
    assert float(row["seconds"]) > 0


def test_square_millimetres_are_reported_if_the_spacing_is_known(command, run_folder, tmp_path):
    image, _ = phantom(1, (96, 72))
    write_dicom(tmp_path / "a.dcm", image, PixelSpacing=[0.5, 0.25], PixelSpacingCalibrationType="FIDUCIAL")
    command("predict", tmp_path / "a.dcm", "-o", tmp_path / "out", "--weights", run_folder)
    (row,) = report(tmp_path / "out")
    assert float(row["lungs_mm2"]) == pytest.approx(int(row["lungs_px"]) * 0.125, abs=0.1)
    assert row["spacing_kind"] == "patient"


def test_sub_folders_keep_their_structure_and_odd_names_stay(command, run_folder, picture, tmp_path):
    names = ("a.png", "ward 1/b.c.png", "ward 1/Zoë Ünï 胸.png", "1.2.840.113/3.4.png", "deep/er/a.PNG")
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, tmp_path / "in" / name)
    done = command("predict", tmp_path / "in", "-o", tmp_path / "out", "--weights", run_folder)
    assert done.status == 0
    stems = sorted(name[:-4] for name in names)
    for kind in KINDS:
        assert written(tmp_path / "out" / kind) == sorted([*stems[:-1], stems[-1]])
    assert {row["file"] for row in report(tmp_path / "out")} == {str(tmp_path / "in" / name) for name in names}


def test_two_inputs_of_one_name_have_different_results(command, run_folder, picture, tmp_path):
    other, _ = phantom(5, (80, 120))
    (tmp_path / "in").mkdir()
    shutil.copy(picture, tmp_path / "in" / "a.png")
    write_dicom(tmp_path / "in" / "a.dcm", other)
    assert command("predict", tmp_path / "in", "-o", tmp_path / "out", "--weights", run_folder).status == 0
    assert written(tmp_path / "out" / "masks") == ["a_dcm", "a_png"]
    assert pixels(tmp_path / "out" / "masks" / "a_png.png").shape == (72, 96)
    assert pixels(tmp_path / "out" / "masks" / "a_dcm.png").shape == (120, 80)


def test_a_bad_file_among_good_ones_fails_alone(command, run_folder, dataset, tmp_path):
    shutil.copytree(dataset / "CXR_png", tmp_path / "in")
    (tmp_path / "in" / "phantom_0003.png").write_bytes(b"")
    done = command("predict", tmp_path / "in", "-o", tmp_path / "out", "--weights", run_folder)
    assert done.status == 1
    (failure,) = done.failures
    assert "phantom_0003.png: the file is empty; copy or export it again." in failure
    assert "1 failed" in done.out
    rows = report(tmp_path / "out")
    assert len(rows) == 12
    (bad,) = (row for row in rows if row["status"] == "failed")
    assert "the file is empty" in bad["reason"]
    assert bad["lungs_px"] == bad["seconds"] == ""
    assert len(written(tmp_path / "out" / "masks")) == 11


def test_a_picture_without_lungs_is_flagged(command, run_folder, tmp_path):
    Image.new("L", (90, 60), 0).save(tmp_path / "black.png")
    done = command("predict", tmp_path / "black.png", "-o", tmp_path / "out", "--weights", run_folder)
    assert done.status == 0
    (row,) = report(tmp_path / "out")
    assert row["status"] == "flagged"
    assert "this does not look like a frontal chest radiograph" in row["reason"]
    assert "not-frontal" in row["doubts"].split()


def test_strict_treats_flagged_radiographs_as_failed(command, run_folder, tmp_path):
    Image.new("L", (90, 60), 0).save(tmp_path / "black.png")
    arguments = ("predict", tmp_path / "black.png", "-o", tmp_path / "out", "--weights", run_folder)
    assert command(*arguments).status == 0
    assert written(tmp_path / "out" / "masks") == ["black"]
    for _ in range(2):  # neither what was done before nor what failed before counts as done
        done = command(*arguments, "--strict")
        assert done.status == 1
        (failure,) = done.failures
        assert "black.png: this does not look like a frontal chest radiograph" in failure
        assert "--strict" in failure
        (row,) = report(tmp_path / "out")
        assert row["status"] == "failed"
        assert "not-frontal" in row["doubts"].split()
        assert 0 <= float(row["quality_lower"]) <= float(row["quality"]) < 0.85
        assert written(tmp_path / "out" / "masks") == []
    assert command(*arguments).status == 0
    assert written(tmp_path / "out" / "masks") == ["black"]


def test_the_python_interface_gives_the_same_bits(command, run_folder, dataset, tmp_path):
    command("predict", dataset / "CXR_png", "-o", tmp_path, "--weights", run_folder)
    predictor = lungseg.load(run_folder, device="cpu")
    for path in sorted((dataset / "CXR_png").iterdir())[:4]:
        prediction = predictor.predict(path)
        assert prediction.labels.dtype == np.uint8
        assert np.array_equal(prediction.labels, pixels(tmp_path / "labels" / path.name))
        assert np.array_equal(prediction.mask, pixels(tmp_path / "masks" / path.name))


def test_one_path_may_be_given_as_it_is(run_folder, picture, tmp_path):
    for path in (picture, str(picture)):
        (row,) = predict(path, tmp_path, run_folder)
        assert row.file == str(picture)


def test_results_inside_the_input_folder_are_not_segmented_again(command, run_folder, picture, tmp_path):
    shutil.copy(picture, tmp_path / "a.png")
    for _ in range(2):
        done = command("predict", tmp_path, "-o", tmp_path / "lungs", "--weights", run_folder)
        assert done.status == 0
        assert [row["file"] for row in report(tmp_path / "lungs")] == [str(tmp_path / "a.png")]
    assert written(tmp_path / "lungs") == [
        *(f"{kind}/a" for kind in KINDS),
        *REPORTS,
        "thumbnails/a.jpg",
    ]


def test_results_do_not_go_among_the_inputs(command, run_folder, picture, tmp_path):
    """The next run would segment masks, and a folder `masks` of the user's would be lost."""
    (tmp_path / "masks").mkdir()
    for name in ("a.png", "masks/a.png"):
        shutil.copy(picture, tmp_path / name)
    for source in (tmp_path, tmp_path / "masks" / "a.png"):
        done = command("predict", source, "-o", tmp_path, "--weights", run_folder)
        assert done.status == 2
        assert "the results would lie among the inputs" in done.sentence
    assert written(tmp_path) == ["a", "masks/a"]
    assert (tmp_path / "masks" / "a.png").read_bytes() == picture.read_bytes()


def test_skipped_files_of_a_folder_are_named(command, run_folder, picture, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(picture, tmp_path / "in" / "a.png")
    (tmp_path / "in" / "notes.txt").write_text("left hip")
    done = command("predict", tmp_path / "in", "-o", tmp_path / "out", "--weights", run_folder)
    assert done.status == 0
    assert "notes.txt" in done.out
    assert len(report(tmp_path / "out")) == 1


def test_a_command_of_its_own_process_does_the_same(process, run_folder, picture, tmp_path):
    done = process("predict", picture, "-o", "out", "--weights", run_folder, cwd=tmp_path)
    assert (done.status, done.failures) == (0, [])
    count, _, where = done.out.strip().partition(": ")
    assert count in ("1 ok", "1 flagged")
    assert where == "open out/report.html (table: out/report.csv)"
    assert written(tmp_path / "out" / "masks") == ["phantom_0001"]


def test_a_real_dicom_radiograph(command, run_folder, tmp_path):
    path = real_radiograph()
    if path is None:
        pytest.skip("the package pydicom-data is not installed")
    done = command("predict", path, "-o", tmp_path, "--weights", run_folder)
    assert done.status == 0, done.err
    assert pixels(tmp_path / "masks" / "RG1_UNCR.png").shape == (1955, 1841)


@needs_real_data
def test_real_dicom_files(command, run_folder, tmp_path):
    from pydicom import dcmread

    sources = sorted((REAL / "dicom").glob("*.dcm"))
    assert len(sources) == 2
    assert command("predict", REAL / "dicom", "-o", tmp_path, "--weights", run_folder).status == 0
    for source in sources:
        header = dcmread(source, stop_before_pixels=True)
        assert pixels(tmp_path / "masks" / f"{source.stem}.png").shape == (header.Rows, header.Columns)
