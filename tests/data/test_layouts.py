# SPDX-License-Identifier: Apache-2.0
"""Layouts of other programs and of public data sets: values, names, classes and lists."""

from __future__ import annotations

import json

import numpy as np
import pytest
from data_support import image_of, labels_of, mask_of, save
from errors_support import fails

from lungseg.data import check_data, datalist, find_data, read_label, split
from lungseg.data.layouts.nnunet import read_labels
from lungseg.data.targets import HEARTS, VISIBLE, read_targets
from lungseg.utils.errors import LungsegError


def stated(folder, labels):
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    return read_labels(folder)


@pytest.mark.parametrize(
    ("labels", "option"),
    [
        ({"background": 0, "left lung": 1, "right lung": 2}, "left=1,right=2"),
        ({"background": 0, "Lung_R": 1, "Lung_L": 2, "Heart": 3}, "right=1,left=2,heart=3"),
        ({"background": 0, "RightLung": 1, "LeftLung": 2, "ignore": 3}, "right=1,left=2,ignore=3"),
        ({"background": 0, "lung": 1}, "lung=1"),
        ({"background": 0, "lungs": [1, 2], "left lung": 2}, "right=1,left=2"),
        ({"background": 0, "lungs": [1, 2, 3], "right": 1, "left": 2, "infection": 3}, "right=1,left=2,lung=3"),
        ({"0": "background", "1": "right", "2": "left", "5": "clavicles"}, "right=1,left=2,background=5"),
        ({"background": 0, "nodule": 1}, None),
        ({"background": 0, "right lung": 1}, None),
    ],
)
def test_labels_of_nnunet(tmp_path, labels, option):
    assert stated(tmp_path, labels) == option


def test_no_labels_of_nnunet(tmp_path):
    assert read_labels(tmp_path) is None
    for content in ("[1, 2]", "no json", '{"labels": {"lung": "one"}}', "[" * 100_000):
        (tmp_path / "dataset.json").write_text(content)
        with fails("dataset-json-invalid", LungsegError):
            read_labels(tmp_path)


def test_a_data_set_of_nnunet_has_the_sides_that_it_states(tmp_path):
    folder = tmp_path / "Dataset001_Chest"
    save(folder / "imagesTr/a_0000.png", image_of())
    save(folder / "labelsTr/a.png", np.array([0, 2, 1], np.uint8)[labels_of()])
    stated(folder, {"background": 0, "left lung": 1, "right lung": 2})
    (case,) = datalist(tmp_path, "all")
    assert np.array_equal(read_targets(case)[VISIBLE], labels_of())
    (case,) = datalist(tmp_path, "all", labels="lung=1,lung=2")
    assert case["labels"] == "lung=1,lung=2"


def test_jsrt_has_hearts_and_no_clavicles(tmp_path):
    for number in (1, 2):
        save(tmp_path / f"All247images/JPCLN00{number}.png", image_of(number))
        masks = tmp_path / f"SCR/fold{number}/masks"
        for part, value in (("right lung", 1), ("left lung", 2), ("heart", 2), ("right clavicle", 1)):
            save(masks / part / f"JPCLN00{number}.gif", (labels_of(number) == value).astype(np.uint8) * 255)
    layout = find_data(tmp_path)
    assert (layout.kind, layout.images.name) == ("separate lungs", "All247images")
    for case in datalist(tmp_path, "all"):
        number = int(case["name"][-1])
        targets = read_targets(case)
        assert np.array_equal(targets[VISIBLE], labels_of(number))
        assert np.array_equal(targets[HEARTS] > 0, labels_of(number) == 2)


def classes(folder, count):
    for seed, name in enumerate(("COVID", "Normal")):
        for number in range(count):
            save(folder / name / "images" / f"{name}-{number}.png", image_of(count * seed + number))
            save(folder / name / "masks" / f"{name}-{number}.png", mask_of(count * seed + number))
    return folder


def test_folders_of_classes_are_taken_together_and_are_the_strata(tmp_path):
    layout = find_data(classes(tmp_path, 1))
    assert "COVID, Normal" in layout.kind
    assert [case.name for case in layout.pair().pairs] == ["COVID/images/COVID-0", "Normal/images/Normal-0"]
    assert not check_data(layout).problems
    names = [f"{name}/images/{name}-{number}" for name in ("COVID", "Normal") for number in range(10)]
    for seed in range(5):
        sections = split(names, seed)
        counts = [[sum(name in case for case in sections[one]) for name in ("COVID", "Normal")] for one in sections]
        assert counts == [[7, 7], [1, 1], [2, 2]]
    assert split(names, 0) != split(names, 1)


def test_equal_names_in_classes_are_cases_of_their_own(tmp_path):
    for seed, name in enumerate(("Tuberculosis", "Normal")):
        save(tmp_path / name / "Images/1.png", image_of(seed))
        save(tmp_path / name / "Masks/1.png", mask_of(seed))
    assert [case.name for case in find_data(tmp_path).pair().pairs] == ["Normal/Images/1", "Tuberculosis/Images/1"]


@pytest.mark.parametrize("pattern", ["{}/images/{}.png", "{}_images/{}.png", "images/{}/{}.png"])
def test_folders_of_sections_are_the_lists(tmp_path, pattern):
    for seed, section in enumerate(("train", "val", "test")):
        save(tmp_path / pattern.format(section, seed), image_of(seed))
        save(tmp_path / pattern.replace("images", "masks").format(section, seed), mask_of(seed))
    for section, number in (("train", 0), ("validation", 1), ("test", 2)):
        assert [case["name"][-1] for case in datalist(tmp_path, section)] == [str(number)]


def test_without_a_validation_folder_the_sections_are_drawn(tmp_path):
    names = [f"{section}/images/{number}" for section in ("train", "test") for number in range(10)]
    assert [len(cases) for cases in split(names).values()] == [14, 2, 4]


def test_the_infection_part_of_covid_qu_ex_alone_has_lung_masks(tmp_path):
    for folder in ("Train/COVID-19", "Test/COVID-19"):
        save(tmp_path / folder / "images/covid_1.png", image_of())
        save(tmp_path / folder / "infection masks/covid_1.png", 0 * mask_of())
        save(tmp_path / folder / "lung masks/covid_1.png", mask_of())
    assert {case.label.parent.name for case in find_data(tmp_path).pair().pairs} == {"lung masks"}


def test_images_and_masks_may_lie_in_the_folder_above_the_masks(tmp_path):
    save(tmp_path / "a.png", image_of())
    save(tmp_path / "MASKS/a_mask.png", mask_of())
    save(tmp_path / "previews/a.png", image_of())
    pairing = find_data(tmp_path).pair()
    assert [(case.name, case.label.name) for case in pairing.pairs] == [("a", "a_mask.png")]
    assert not pairing.images_without_mask
    assert np.array_equal(read_label(pairing.pairs[0].label).labels, labels_of())
