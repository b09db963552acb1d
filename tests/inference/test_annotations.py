# SPDX-License-Identifier: Apache-2.0
"""Outlines for annotation tools: a COCO file of the whole run, which is never stale, and a LabelMe file for each."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from images_support import write_dicom
from jsonschema import validate
from output_support import leftovers, statuses
from PIL import Image
from skimage.draw import polygon2mask
from stopping_support import hooked, start, watched_stop

import lungseg
from lungseg.data import phantom
from lungseg.inference.annotations import NAME
from lungseg.inference.outputs import Outputs
from lungseg.inference.predict import predict

# As pycocotools and other readers need it.
COCO = {
    "type": "object",
    "required": ["images", "annotations", "categories"],
    "properties": {
        "images": {
            "items": {
                "required": ["id", "file_name", "width", "height"],
                "properties": {
                    "id": {"type": "integer", "minimum": 1},
                    "file_name": {"type": "string", "minLength": 1},
                    "width": {"type": "integer", "minimum": 1},
                    "height": {"type": "integer", "minimum": 1},
                },
            }
        },
        "annotations": {
            "items": {
                "required": ["id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd"],
                "properties": {
                    "id": {"type": "integer", "minimum": 1},
                    "area": {"type": "number", "exclusiveMinimum": 0},
                    "bbox": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
                    "iscrowd": {"const": 0},
                    "segmentation": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "array", "items": {"type": "number"}, "minItems": 6},
                    },
                },
            }
        },
        "categories": {"items": {"required": ["id", "name"]}},
    },
}
# As LabelMe's LabelFile reads and LabelMe writes it.
LABELME = {
    "type": "object",
    "required": ["version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"],
    "additionalProperties": False,
    "properties": {
        "version": {"type": "string", "pattern": r"^5\.\d+\.\d+$"},
        "flags": {"type": "object"},
        "imagePath": {"type": "string", "pattern": r"^[^\\]+$"},
        "imageData": {"type": ["string", "null"]},
        "imageHeight": {"type": "integer"},
        "imageWidth": {"type": "integer"},
        "shapes": {
            "items": {
                "required": ["label", "points", "shape_type", "flags", "group_id"],
                "properties": {
                    "label": {"enum": ["right lung", "left lung", "heart"]},
                    "shape_type": {"const": "polygon"},
                    "group_id": {"type": ["integer", "null"]},
                    "points": {
                        "minItems": 3,
                        "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
                    },
                },
            }
        },
    },
}


def merged(out: Path) -> dict:
    """Return the COCO file of a run, whose numbers are checked."""
    found = json.loads((out / NAME).read_bytes())
    validate(found, COCO)
    assert [image["id"] for image in found["images"]] == list(range(1, len(found["images"]) + 1))
    assert [one["id"] for one in found["annotations"]] == list(range(1, len(found["annotations"]) + 1))
    assert {one["image_id"] for one in found["annotations"]} <= {image["id"] for image in found["images"]}
    assert {one["category_id"] for one in found["annotations"]} <= {one["id"] for one in found["categories"]}
    return found


def names(out: Path) -> list[str]:
    return [image["file_name"] for image in merged(out)["images"]]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def drawn(polygons: list, shape: tuple[int, int]) -> np.ndarray:
    found = np.zeros(shape, dtype=bool)
    for polygon in polygons:
        found |= polygon2mask(shape, np.reshape(polygon, (-1, 2))[:, ::-1] - 0.5)
    return found


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


@pytest.fixture
def source(dataset, tmp_path) -> Path:
    """Four radiographs, one of them in a sub-folder."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for name, path in zip(("a", "b", "c", "sub/d"), sorted((dataset / "CXR_png").iterdir()), strict=False):
        shutil.copy(path, folder / f"{name}.png")
    return folder


@pytest.fixture
def chest(tmp_path) -> Path:
    """A phantom of ordinary size, for the shipped weights."""
    (tmp_path / "chest").mkdir()
    Image.fromarray(phantom(3, (512, 448))[0]).save(tmp_path / "chest" / "one.png")
    return tmp_path / "chest"


def test_the_outlines_are_those_of_the_label_map(command, chest, tmp_path):
    out = tmp_path / "out"
    done = command("predict", chest, "-o", out, "--save", "coco,labelme", "--with-heart")
    assert done.status == 0, done.err
    labels = pixels(out / "labels" / "one.png")
    found = merged(out)
    assert found["images"] == [{"id": 1, "file_name": "one.png", "width": 512, "height": 448}]
    assert found["categories"] == [
        {"id": 1, "name": "right lung"},
        {"id": 2, "name": "left lung"},
        {"id": 3, "name": "heart"},
    ]
    own = json.loads((out / "labelme" / "one.json").read_bytes())
    validate(own, LABELME)
    for annotation in found["annotations"]:
        region = labels == annotation["category_id"]
        if annotation["category_id"] == 3:
            continue  # the lungs hide a part of it in the label map
        assert dice(drawn(annotation["segmentation"], region.shape), region) > 0.99
        assert annotation["area"] == region.sum()
        y, x = np.nonzero(region)
        assert annotation["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
        name = found["categories"][annotation["category_id"] - 1]["name"]
        shapes = [shape["points"] for shape in own["shapes"] if shape["label"] == name]
        assert [np.ravel(points).tolist() for points in shapes] == annotation["segmentation"]
    assert {annotation["category_id"] for annotation in found["annotations"]} >= {1, 2}
    assert {shape["label"] for shape in own["shapes"]} >= {"right lung", "left lung"}


def test_pycocotools_reads_the_file_of_a_run(command, chest, tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    out = tmp_path / "out"
    assert command("predict", chest, "-o", out, "--save", "coco").status == 0
    labels = pixels(out / "labels" / "one.png")
    read = coco.COCO(str(out / NAME))
    for number, name in ((1, "right lung"), (2, "left lung")):
        assert read.getCatIds(catNms=[name]) == [number]
        (annotation,) = read.loadAnns(read.getAnnIds(imgIds=[1], catIds=[number]))
        assert dice(read.annToMask(annotation).astype(bool), labels == number) > 0.99


def test_one_file_for_the_run_and_one_for_each_radiograph(command, run_folder, source, tmp_path):
    out = tmp_path / "out"
    done = command("predict", source, "-o", out, "--weights", run_folder, "--save", "coco,labelme", "--workers", "3")
    assert done.status == 0, done.err
    # In the order of the inputs, by their paths in the folder that was named.
    assert names(out) == ["a.png", "b.png", "c.png", "sub/d.png"]
    for number, name in enumerate(("a", "b", "c", "sub/d"), start=1):
        own = json.loads((out / "coco" / f"{name}.json").read_bytes())
        validate(own, COCO)
        assert own["images"][0] == merged(out)["images"][number - 1] | {"id": 1}
        same = [one["segmentation"] for one in merged(out)["annotations"] if one["image_id"] == number]
        assert [one["segmentation"] for one in own["annotations"]] == same
        beside = json.loads((out / "labelme" / f"{name}.json").read_bytes())
        validate(beside, LABELME)
        file = out / "labelme" / f"{name}.json"
        assert os.path.samefile(file.parent / beside["imagePath"], source / f"{name}.png")
        assert not os.path.isabs(beside["imagePath"])
        assert beside["imageData"] is None
        assert (beside["imageHeight"], beside["imageWidth"]) == pixels(source / f"{name}.png").shape


def test_a_later_run_keeps_what_holds_and_the_file_follows_the_inputs(command, run_folder, source, tmp_path):
    out = tmp_path / "out"
    call = ("predict", source, "-o", out, "--weights", run_folder)
    assert command(*call, "--save", "coco").status == 0
    before = (out / NAME).read_bytes()
    times = {file: file.stat().st_mtime_ns for file in (out / "coco").rglob("*.json")}
    # Nothing is made again, whether or not the kind is asked for.
    for options in (["--save", "coco"], []):
        assert command(*call, *options).status == 0
        assert (out / NAME).read_bytes() == before
        assert {file: file.stat().st_mtime_ns for file in times} == times
    # One that was changed is made again; one that is changed and not asked for is left out.
    (out / "coco" / "a.json").write_text("mine")
    assert command(*call).status == 0
    assert names(out) == ["b.png", "c.png", "sub/d.png"]
    assert command(*call, "--save", "coco").status == 0
    assert (out / NAME).read_bytes() == before
    # Another content, fewer and more inputs.
    shutil.copy(source / "b.png", source / "a.png")
    (source / "c.png").unlink()
    shutil.copy(source / "sub" / "d.png", source / "e.png")
    assert command(*call, "--save", "coco").status == 0
    assert names(out) == ["a.png", "b.png", "e.png", "sub/d.png"]
    first, second = (
        [one["segmentation"] for one in merged(out)["annotations"] if one["image_id"] == number] for number in (1, 2)
    )
    assert first == second
    # Results of other weights or settings do not hold: without the kind, no old annotations stay.
    assert command(*call, "--ctr", "never").status == 0
    assert not (out / NAME).exists()
    # That of a radiograph that is gone is no result of this run, and stays.
    assert [file.name for file in (out / "coco").rglob("*.json")] == ["c.json"]


def test_a_radiograph_that_fails_is_left_out(command, run_folder, source, tmp_path):
    (source / "b.png").write_bytes(b"no picture")
    done = command("predict", source, "-o", tmp_path / "out", "--weights", run_folder, "--save", "coco")
    assert done.status == 1
    assert names(tmp_path / "out") == ["a.png", "c.png", "sub/d.png"]


def test_a_radiograph_without_lungs_is_listed_without_annotations(command, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((96, 96), np.uint8)).save(tmp_path / "in" / "black.png")
    assert command("predict", tmp_path / "in", "-o", tmp_path / "out", "--save", "coco,labelme").status == 0
    found = merged(tmp_path / "out")
    assert names(tmp_path / "out") == ["black.png"]
    assert found["annotations"] == []
    assert len(found["categories"]) == 2
    assert json.loads((tmp_path / "out" / "labelme" / "black.json").read_bytes())["shapes"] == []


def test_a_moved_radiograph_has_its_new_path_in_the_files(command, run_folder, source, tmp_path):
    out = tmp_path / "out"
    save = ("-o", out, "--weights", run_folder, "--save", "labelme,coco,crop")
    assert command("predict", source, *save).status == 0
    times = {file: file.stat().st_mtime_ns for file in (out / "masks").rglob("*.png")}
    moved = tmp_path / "elsewhere" / "deep"
    moved.parent.mkdir()
    source.rename(moved)
    done = command("predict", moved, *save)
    assert done.status == 0
    assert "has changed" not in done.err
    file = out / "labelme" / "sub" / "d.json"
    assert os.path.samefile(file.parent / json.loads(file.read_bytes())["imagePath"], moved / "sub" / "d.png")
    assert names(out) == ["a.png", "b.png", "c.png", "sub/d.png"]
    assert {file: file.stat().st_mtime_ns for file in times} == times
    # A kind that names the old path does not stay where another one is added.
    moved.rename(source)
    assert command("predict", source, "-o", out, "--weights", run_folder, "--save", "nifti").status == 0
    assert not list((out / "labelme").rglob("*.json"))
    assert not (out / NAME).exists()


def test_a_link_to_the_output_folder_leads_to_the_radiograph(command, run_folder, source, tmp_path):
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away", target_is_directory=True)
    call = ("predict", source / "a.png", "-o", tmp_path / "link" / "out", "--weights", run_folder, "--save", "labelme")
    assert command(*call).status == 0
    file = tmp_path / "link" / "out" / "labelme" / "a.json"
    assert os.path.samefile(file.parent / json.loads(file.read_bytes())["imagePath"], source / "a.png")


def test_labelme_gets_the_picture_of_a_file_that_it_cannot_open(command, run_folder, tmp_path):
    picture = 16 * phantom(1, (96, 72))[0].astype(np.uint16)
    write_dicom(tmp_path / "a.dcm", picture)
    call = ("predict", tmp_path / "a.dcm", "-o", tmp_path / "out", "--weights", run_folder, "--save", "labelme")
    assert command(*call).status == 0
    found = json.loads((tmp_path / "out" / "labelme" / "a.json").read_bytes())
    validate(found, LABELME)
    shown = pixels(BytesIO(base64.b64decode(found["imageData"])))
    assert shown.dtype == np.uint8
    assert shown.shape == (found["imageHeight"], found["imageWidth"]) == picture.shape
    assert np.corrcoef(shown.ravel(), picture.ravel())[0, 1] > 0.99


def test_files_of_several_folders_and_names_that_are_not_text(command, run_folder, source, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(source / "b.png", other / "a.png")
    odd = os.fsencode(other) + b"/\xff.png"
    shutil.copy(source / "b.png", odd)
    out = tmp_path / "out"
    assert command("predict", source, other, "-o", out, "--weights", run_folder, "--save", "coco,labelme").status == 0
    assert names(out) == ["in/a.png", "in/b.png", "in/c.png", "in/sub/d.png", "other/a.png", "other/\udcff.png"]


def test_worker_processes_make_one_file(run_folder, source, tmp_path):
    predict(source, tmp_path / "out", run_folder, "cpu", kinds=["coco"], workers=2, processes=True)
    assert names(tmp_path / "out") == ["a.png", "b.png", "c.png", "sub/d.png"]


@pytest.mark.slow
@pytest.mark.safety("killed-run")
@pytest.mark.parametrize("moment", ["/coco/.c.", f"/.{NAME.removesuffix('.json')}."])
def test_a_killed_run_leaves_no_file_and_the_next_one_a_whole_one(command, run_folder, source, tmp_path, moment):
    out = tmp_path / "out"
    call = ("predict", source, "-o", out, "--weights", run_folder, "--save", "coco", "--workers", "1")
    assert command(*call).status == 0
    whole = (out / NAME).read_bytes()
    # One radiograph has another content; the run is killed while its file, or that of the whole run, gets its name.
    shutil.copy(source / "a.png", source / "c.png")
    process = start("-m", "lungseg", *call, environment=hooked(tmp_path / "hook", moment, "kill-once"))
    text = process.communicate(timeout=300)[0]
    assert process.returncode == -signal.SIGKILL, text
    assert not (out / NAME).exists()
    assert command(*call).status == 0
    assert not leftovers(out)
    assert names(out) == ["a.png", "b.png", "c.png", "sub/d.png"]
    assert (out / NAME).read_bytes() != whole
    polygons = [[one["segmentation"] for one in merged(out)["annotations"] if one["image_id"] == n] for n in (1, 3)]
    assert polygons[0] == polygons[1]


@pytest.mark.safety("killed-run")
def test_a_run_that_is_stopped_has_the_annotations_of_what_is_finished(run_folder, source, tmp_path, monkeypatch):
    ended, write = watched_stop(monkeypatch), Outputs.write

    def write_slowly(self, stem, contents):
        # The third one is under way, at most, when the run is stopped.
        if stem.name == "c":
            assert ended.wait(60)
        write(self, stem, contents)

    def stop(number: int, total: int, row: object) -> None:
        if number == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Outputs, "write", write_slowly)
    with pytest.raises(KeyboardInterrupt):
        predict(source, tmp_path / "out", run_folder, "cpu", kinds=["coco"], workers=1, on_result=stop)
    # The next one may be finished by then.
    assert names(tmp_path / "out") == [Path(name).name for name in statuses(tmp_path / "out")]
    assert 2 <= len(names(tmp_path / "out")) < 4


def test_a_prediction_gives_its_outlines(run_folder, source):
    lungs = lungseg.load(run_folder, "cpu").predict(source / "a.png")
    assert list(lungs.polygons()) == ["right lung", "left lung"]
    for number, polygons in enumerate(lungs.polygons().values(), start=1):
        region = lungs.labels == number
        assert dice(drawn(polygons, region.shape), region) > 0.95
