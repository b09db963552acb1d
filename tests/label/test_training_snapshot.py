# SPDX-License-Identifier: Apache-2.0
"""The data of a training in the MONAI Label app: frozen before it begins, or refused."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from lungseg.data import datalist, phantom, read_label, write_split
from lungseg.data.splits import read_split
from lungseg.io import write_png
from lungseg.utils.errors import LungsegError
from lungseg.workflows.label.tasks.training_snapshot import (
    assign_sections,
    freeze,
    replay_cases,
    replay_source,
    snapshot_source,
)

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
    """Freeze the labels with a data set: `frozen(replay, ratio)`."""

    def call(replay=None, ratio=1.0) -> dict:
        source = None if replay is None else {"dataset_dir": replay}
        return freeze(labels, tmp_path / "data", tmp_path / "sections.json", source, ratio, seed=1)

    return call


def section_of(labels, section: str) -> list[dict]:
    members = assign_sections([case["name"] for case in labels], {})[section]
    return [case for case in labels if case["name"] in members]


def blank(file) -> None:
    write_png(file, np.zeros(SIZE[::-1], np.uint8))


def test_the_lists_of_the_first_weights_are_kept(separate_lungs, tmp_path):
    names = [str(number) for number in range(12)]
    run = {"train": names[:2], "validation": names[2:8], "test": names[8:]}
    write_split(tmp_path / "run" / "splits.json", run, seed=0)
    source = replay_source(separate_lungs, tmp_path / "run" / "model.pt", tmp_path / "lists.json")
    assert {section: len(cases) for section, cases in replay_cases(source).items()} == {"train": 2, "validation": 6}
    (tmp_path / "run" / "splits.json").unlink()
    # A training that goes on keeps its lists.
    assert replay_source(separate_lungs, tmp_path / "run" / "model.pt", tmp_path / "lists.json") == source
    assert read_split(tmp_path / "lists.json") == {section: sorted(members) for section, members in run.items()}


def test_a_validation_list_without_laterality_is_refused(frozen, labels, tmp_path):
    for case in section_of(labels, "validation"):
        swapped = np.asarray(Image.open(case["label"]))
        write_png(case["label"], np.where(swapped > 0, 3 - swapped, 0).astype(np.uint8))
    with pytest.raises(LungsegError) as refused:
        frozen()
    assert refused.value.code == "laterality-unknown"
    assert "exchange right and left" in refused.value.remedy


def test_a_mask_per_lung_becomes_a_label_map(frozen, separate_lungs, tmp_path):
    counts = frozen(separate_lungs)
    assert counts["train"]["replay"] == counts["train"]["labels"]
    pictures = {case["image"]: case["label"] for case in datalist(separate_lungs, "all")}
    mixed_in = sorted((tmp_path / "data" / "images" / "replay").iterdir())
    assert len(mixed_in) == counts["train"]["replay"] + counts["validation"]["replay"]
    for link in mixed_in:
        right, left = (np.asarray(Image.open(mask)) > 0 for mask in pictures[str(link.resolve())])
        merged = np.asarray(Image.open(tmp_path / "data" / "labels" / "replay" / link.name))
        np.testing.assert_array_equal(merged, right + 2 * left.astype(np.uint8))


def test_masks_of_lungs_that_cannot_be_merged_are_excluded(frozen, separate_lungs, tmp_path, caplog):
    for case in datalist(separate_lungs, "train"):
        shutil.copyfile(case["label"][1], case["label"][0])
    assert frozen(separate_lungs)["train"]["replay"] == 0
    assert "not used: " in caplog.text
    assert len(datalist(tmp_path / "data", "train", splits_file=tmp_path / "data" / "splits.json")) > 0


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_replay_data_on_which_versions_cannot_be_compared_are_refused_first(frozen, dataset, tmp_path, ratio):
    with pytest.raises(LungsegError, match="gone"):
        frozen(tmp_path / "gone", ratio)
    folder = tmp_path / "replay"
    for case in datalist(dataset, "all"):
        write_png(folder / "images" / f"{case['name']}.png", phantom(1, SIZE)[0])
        blank(folder / "masks" / f"{case['name']}.png")
    with pytest.raises(LungsegError, match="validation"):
        frozen(folder, ratio)
    assert not (tmp_path / "data").exists()


def test_labels_that_state_unequal_sides_are_trained_on(frozen, labels, tmp_path):
    """One lung may be collapsed, or missing in all of them: nothing but the labels says so."""
    for number, case in enumerate(labels):
        lungs = np.asarray(Image.open(case["label"])).copy()
        rows = np.arange(lungs.shape[0])
        side = 1 + number % 2
        drawn = np.flatnonzero((lungs == side).any(axis=1))
        kept = drawn[: len(drawn) // 4] if number < COUNT // 2 else []
        lungs[(lungs == side) & ~np.isin(rows, kept)[:, None]] = 0
        write_png(case["label"], lungs)
    assert sum(section["labels"] for section in frozen().values()) == COUNT
    for case in datalist(section="all", **snapshot_source(tmp_path / "data")):
        found = read_label(case["label"], case["labels"])
        assert found.union_reason is None
        np.testing.assert_array_equal(found.labels, np.asarray(Image.open(case["label"])))


@pytest.mark.parametrize("section", ["train", "validation", "test"])
def test_a_section_without_a_usable_label_is_refused(frozen, labels, section):
    for case in section_of(labels, section):
        blank(case["label"])
    with pytest.raises(LungsegError, match=section) as refused:
        frozen()
    assert refused.value.code == "section-unusable"
    assert section_of(labels, section)[0]["name"] in str(refused.value)


def test_a_section_whose_labels_were_all_deleted_is_refused(frozen, labels, tmp_path):
    frozen()
    shutil.rmtree(tmp_path / "data")
    for case in section_of(labels, "test"):
        labels.remove(case)
    with pytest.raises(LungsegError, match="test") as refused:
        frozen()
    assert refused.value.code == "section-unusable"


def test_one_unusable_label_does_not_stop_a_training(frozen, labels):
    blank(section_of(labels, "train")[0]["label"])
    assert frozen()["train"]["labels"] == len(section_of(labels, "train"))


def test_a_study_keeps_its_section():
    first = assign_sections([f"study-{number}" for number in range(5)], {})
    assert {name: len(members) for name, members in first.items()} == {"train": 3, "validation": 1, "test": 1}
    later = assign_sections([f"study-{number}" for number in range(40)], first)
    for section, members in first.items():
        assert set(members) <= set(later[section])
    assert {name: len(members) for name, members in later.items()} == {"train": 24, "validation": 8, "test": 8}


@pytest.mark.safety("odd-studies")
def test_a_study_that_is_gone_or_has_an_odd_name_is_left_out(labels, frozen, tmp_path):
    (tmp_path / "final" / "study-0.png").unlink()
    odd = {name: dict(labels[1], name=name) for name in ("../../x", "n" * 254)}
    labels.extend(odd.values())
    frozen()
    used = {name for names in read_split(tmp_path / "data" / "splits.json").values() for name in names}
    assert used == {f"labelled/study-{number}" for number in range(1, COUNT)}
    assert not list(tmp_path.rglob("x.png"))
