# SPDX-License-Identifier: Apache-2.0
"""What a training of the MONAI Label app learns from: frozen before it begins, or refused in words."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from lungseg.data import datalist, phantom, write_split
from lungseg.data.splits import read_split
from lungseg.io import write_png
from lungseg.utils.errors import LungsegError
from lungseg.workflows.label.tasks.training_snapshot import assign, freeze, replay_cases, replay_source

COUNT = 8
SIZE = (96, 72)


@pytest.fixture
def labels(tmp_path):
    """The final labels of eight studies, as `freeze` takes them."""
    cases = []
    for number in range(COUNT):
        name = f"study-{number}"
        image, label = tmp_path / "studies" / f"{name}.png", tmp_path / "final" / f"{name}.png"
        for file, pixels in zip((image, label), phantom((5, number), SIZE), strict=True):
            write_png(file, pixels)
        cases.append({"image": str(image), "label": str(label), "name": name})
    return cases


@pytest.fixture
def separate_lungs(tmp_path):
    """Twelve phantoms in NLM's layout, which has a mask per lung."""
    folder = tmp_path / "montgomery"
    for number in range(12):
        image, lungs = phantom((6, number), SIZE)
        write_png(folder / "CXR_png" / f"{number}.png", image)
        for value, side in ((1, "right"), (2, "left")):
            write_png(folder / "ManualMask" / f"{side}Mask" / f"{number}.png", (lungs == value) * np.uint8(255))
    return folder


@pytest.fixture
def frozen(labels, tmp_path):
    """Freeze the labels with a data set: `frozen(original, share)`."""

    def call(original=None, share=1.0) -> dict:
        source = None if original is None else {"dataset_dir": original}
        return freeze(labels, tmp_path / "data", tmp_path / "sections.json", source, share, seed=1)

    return call


def section_of(labels, section: str) -> list[dict]:
    members = assign([case["name"] for case in labels], {})[section]
    return [case for case in labels if case["name"] in members]


def blank(file) -> None:
    write_png(file, np.zeros(SIZE[::-1], np.uint8))


def test_the_lists_of_the_first_weights_hold(separate_lungs, tmp_path):
    names = [str(number) for number in range(12)]
    run = {"train": names[:2], "validation": names[2:8], "test": names[8:]}
    write_split(tmp_path / "run" / "splits.json", run, seed=0)
    source = replay_source(separate_lungs, tmp_path / "run" / "model.pt", tmp_path / "lists.json")
    assert {section: len(cases) for section, cases in replay_cases(source).items()} == {"train": 2, "validation": 6}
    (tmp_path / "run" / "splits.json").unlink()
    # A training that goes on keeps its lists.
    assert replay_source(separate_lungs, tmp_path / "run" / "model.pt", tmp_path / "lists.json") == source
    assert read_split(tmp_path / "lists.json") == {section: sorted(members) for section, members in run.items()}


def test_lists_that_no_lung_can_be_judged_by_are_refused(frozen, labels, tmp_path):
    for case in section_of(labels, "validation"):
        swapped = np.asarray(Image.open(case["label"]))
        write_png(case["label"], np.where(swapped > 0, 3 - swapped, 0).astype(np.uint8))
    with pytest.raises(LungsegError, match="no reference of the validation list tells right from left"):
        frozen()


def test_a_mask_per_lung_becomes_a_label_map(frozen, separate_lungs, tmp_path):
    counts = frozen(separate_lungs)
    assert counts["train"]["original"] == counts["train"]["labels"]
    pictures = {case["image"]: case["label"] for case in datalist(separate_lungs, "all")}
    mixed_in = sorted((tmp_path / "data" / "images" / "original").iterdir())
    assert len(mixed_in) == counts["train"]["original"] + counts["validation"]["original"]
    for link in mixed_in:
        right, left = (np.asarray(Image.open(mask)) > 0 for mask in pictures[str(link.resolve())])
        merged = np.asarray(Image.open(tmp_path / "data" / "labels" / "original" / link.name))
        np.testing.assert_array_equal(merged, right + 2 * left.astype(np.uint8))


def test_masks_of_lungs_that_cannot_be_merged_are_left_out(frozen, separate_lungs, tmp_path, capsys):
    for case in datalist(separate_lungs, "train"):
        blank(case["label"][0])
    assert frozen(separate_lungs)["train"]["original"] == 0
    assert "Not used: " in capsys.readouterr().out
    assert len(datalist(tmp_path / "data", "train", splits_file=tmp_path / "data" / "splits.json")) > 0


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_original_data_that_versions_cannot_be_compared_on_are_refused_first(frozen, dataset, tmp_path, share):
    with pytest.raises(LungsegError, match="no such folder"):
        frozen(tmp_path / "gone", share)
    folder = tmp_path / "original"
    for case in datalist(dataset, "all"):
        write_png(folder / "images" / f"{case['name']}.png", phantom(1, SIZE)[0])
        blank(folder / "masks" / f"{case['name']}.png")
    with pytest.raises(LungsegError, match="every case of the section validation"):
        frozen(folder, share)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("section", ["train", "validation", "test"])
def test_a_section_without_a_label_that_can_be_used_is_refused(frozen, labels, section):
    for case in section_of(labels, section):
        blank(case["label"])
    with pytest.raises(LungsegError, match=f"nothing of the section {section}") as refused:
        frozen()
    assert section_of(labels, section)[0]["name"] in str(refused.value)


def test_a_section_whose_labels_were_all_deleted_is_refused(frozen, labels, tmp_path):
    frozen()
    shutil.rmtree(tmp_path / "data")
    for case in section_of(labels, "test"):
        labels.remove(case)
    with pytest.raises(LungsegError, match="nothing of the section test"):
        frozen()


def test_one_label_that_cannot_be_used_stops_nothing(frozen, labels):
    blank(section_of(labels, "train")[0]["label"])
    assert frozen()["train"]["labels"] == len(section_of(labels, "train"))
