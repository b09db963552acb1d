# SPDX-License-Identifier: Apache-2.0
"""Annotations become label maps, once, and exactly those that were drawn."""

from __future__ import annotations

import json
import os
import stat

import field_annotations as kinds
import numpy as np
import platformdirs
import pytest
from command_support import TINY
from errors_support import fails

from lungseg.data import datalist, find_data, read_label
from lungseg.data.labels import SIDE_UNKNOWN
from lungseg.io.annotations.drawing import draw_circle, draw_counts, draw_pairs, draw_polygon
from lungseg.io.annotations.names import Names
from lungseg.io.annotations.structures import structure_of
from lungseg.utils.errors import LungsegError

WRITERS = {
    "chexmask": kinds.chexmask,
    "kaggle": kinds.kaggle,
    "classes": kinds.classes,
    "siim": kinds.siim,
    "polygons": kinds.coco(kinds.polygons, "right lung", "left lung"),
    "counts": kinds.coco(kinds.counts, "right lung", "left lung"),
    "compressed": kinds.coco(kinds.compressed, "right lung", "left lung"),
    "one category": kinds.coco(kinds.polygons, "lung"),
    "labelme": kinds.labelme(beside=False),
}


def paired(folder, masks, labels=None):
    return find_data(images=folder / "images", masks=folder / masks, labels=labels).pair()


@pytest.mark.parametrize("writer", WRITERS)
def test_each_kind_gives_the_pixels_that_were_drawn(tmp_path, writer):
    drawn = kinds.images(tmp_path)
    pairing = paired(tmp_path, WRITERS[writer](tmp_path, drawn))
    assert [case.name for case in pairing.pairs] == list(drawn)
    for case in pairing.pairs:
        assert np.array_equal(read_label(case.label, case.labels).labels, drawn[case.name]), case.name


def test_label_maps_are_drawn_once_in_a_private_folder(tmp_path):
    drawn = kinds.images(tmp_path)
    masks = tmp_path / kinds.kaggle(tmp_path, drawn)
    (case, _) = paired(tmp_path, masks).pairs
    first = case.label.stat().st_mtime_ns
    assert paired(tmp_path, masks).pairs[0].label.stat().st_mtime_ns == first
    place = platformdirs.user_cache_path("lungseg", appauthor=False) / "annotations"
    assert case.label.is_relative_to(place)
    assert not stat.S_IMODE(place.stat().st_mode) & 0o077
    masks.write_text(masks.read_text().replace("p0.png", "p9.png"))
    os.utime(masks, ns=(1, 1))
    pairing = paired(tmp_path, masks)
    assert [case.name for case in pairing.pairs] == ["p1"]
    assert [path.name for path in pairing.images_without_mask] == ["p0.png"]


def test_the_data_list_states_the_values_and_takes_the_option(tmp_path):
    drawn = kinds.images(tmp_path)
    kinds.coco(kinds.polygons, "a", "b")(tmp_path, drawn)
    source = {"images": tmp_path / "images", "masks": tmp_path / "masks.json"}
    with fails("category-unknown", LungsegError):
        datalist(None, "all", **source)
    for item in datalist(None, "all", labels="right=1,left=2", **source):
        assert np.array_equal(read_label(item["label"], item["labels"]).labels, drawn[item["name"]])


def test_a_training_and_an_evaluation_on_annotations(command, tmp_path):
    kinds.coco(kinds.polygons, "a", "b")(tmp_path, kinds.images(tmp_path, 12))
    source = ("--images", tmp_path / "images", "--masks", tmp_path / "masks.json", "--labels", "right=a,left=b")
    done = command("train", *source, "-o", tmp_path / "run", "--epochs", 1, "--config", *TINY)
    assert done.status == 0, done.err
    done = command("evaluate", *source, "-o", tmp_path / "figures", "--weights", tmp_path / "run")
    assert done.status == 0, done.err
    assert command("train", "--resume", "-o", tmp_path / "run").status == 0


def test_a_damaged_annotation_concerns_its_image_only(tmp_path):
    drawn = kinds.images(tmp_path)
    kinds.coco(kinds.counts, "right lung", "left lung")(tmp_path, drawn)
    document = json.loads((tmp_path / "masks.json").read_text())
    document["annotations"][0]["segmentation"]["counts"] = [10**12, 5]
    (tmp_path / "masks.json").write_text(json.dumps(document))
    pairing = paired(tmp_path, "masks.json")
    assert [case.name for case in pairing.pairs] == ["p1"]
    (problem,) = pairing.problems
    assert (problem.name, problem.file, problem.excluded) == ("p0", tmp_path / "masks.json", True)


def test_a_heart_is_not_lung_and_a_single_lung_is_used(tmp_path):
    drawn = kinds.images(tmp_path)
    kinds.coco(kinds.polygons, "right lung", "heart")(tmp_path, drawn)
    for case in paired(tmp_path, "masks.json").pairs:
        found = read_label(case.label, case.labels)
        assert set(np.unique(found.labels)) == {0, 1}
        assert found.remark.kind == "one-lung"


def test_absolute_and_relative_runs():
    size = (3, 4)
    assert np.flatnonzero(draw_pairs("1 2 6 1", size, "rows")).tolist() == [0, 1, 5]
    assert draw_pairs("1 2 6 1", size, "columns").T.ravel().nonzero()[0].tolist() == [0, 1, 5]
    assert draw_pairs("1 2 1 2", size, "rows").ravel().nonzero()[0].tolist() == [1, 2, 4, 5]
    for nothing in ("", "-1", " -1 "):
        assert not draw_pairs(nothing, size, "rows").any()
    for wrong in ("1", "1 99", "-5 2", "a b", "0 5 3 9"):
        with pytest.raises(ValueError, match=r".+"):
            draw_pairs(wrong, size, "rows")


@pytest.mark.parametrize("counts", ["zzzz", "\x7f", "é", [1, -1], [13], [[1]], "o" * 99])
def test_damaged_counts_are_refused(counts):
    with pytest.raises((ValueError, OverflowError)):
        draw_counts(counts, (3, 4))


def test_shapes_cover_the_pixels_whose_centres_they_hold():
    assert draw_polygon([(1, 1), (3, 1), (3, 4), (1, 4)], (6, 5)).nonzero()[1].tolist() == [1, 2] * 3
    assert draw_circle((2.5, 2.5), (3.5, 2.5), (5, 5)).sum() == 5
    with pytest.raises(ValueError, match="far outside"):
        draw_polygon([(0, 0), (1e9, 0), (0, 5)], (5, 5))


@pytest.mark.parametrize(
    ("name", "structure"),
    [
        ("Right Lung", "right"),
        ("left-lung", "left"),
        ("LungLeft", "left"),
        ("RIGHT_LUNG_MASK", "right"),
        ("r_lung", "right"),
        ("lungs", "lung"),
        ("Heart", "heart"),
        ("lung opacity", None),
        ("right clavicle", None),
        ("r", None),
        ("left", "left"),
        ("nodule", None),
    ],
)
def test_names_of_structures(name, structure):
    assert structure_of(name, {}) == structure


def test_names_of_images():
    names = Names()
    for place, name in enumerate(["train/a.png", "b", "one\\c.jpg", "two/c.jpg"]):
        names.add(name, place)
    assert names.find("a", alone=True) == [0]
    assert names.find("x/b", alone=True) == [1]
    assert names.find("x/b", alone=False) == []
    assert names.find("c", alone=True) == []
    assert names.find("images/two/c", alone=True) == [3]


def test_a_lung_without_a_side_makes_the_union(tmp_path):
    drawn = {"p0": np.zeros((140, 180), np.uint8)}
    drawn["p0"][30:110, 40:140] = 1
    kinds.images(tmp_path)
    kinds.coco(kinds.polygons, "lungs")(tmp_path, drawn)
    (case,) = paired(tmp_path, "masks.json").pairs
    assert set(np.unique(read_label(case.label, case.labels).labels)) == {0, SIDE_UNKNOWN}
