# SPDX-License-Identifier: Apache-2.0
"""The frozen lists, and the rule for every other data set."""

from __future__ import annotations

import json
import random
from itertools import chain

import pytest
from data_support import REAL, kaggle, needs_real_data
from errors_support import fails

from lungseg.data import datalist, frozen_splits, kfold, split, write_split
from lungseg.data.patients import patient_rule
from lungseg.data.splits import SECTIONS, read_split, set_of
from lungseg.model.paths import weights_file
from lungseg.training.provenance import trained_on
from lungseg.utils.errors import UsageError

NAMES = [f"p{patient:03d}-{view}_{patient % 2}" for patient in range(100) for view in "ab"]
PATIENT = r"^(p\d+)-"


def sizes(sections):
    return [len(sections[section]) for section in SECTIONS]


def test_what_the_shipped_weights_were_trained_on_is_known():
    everything = [f"sub/{name}" for lists in frozen_splits().values() for part in lists.values() for name in part]
    assert len(trained_on(weights_file("shipped"), everything)) == 96 + 379
    assert len(trained_on(weights_file("open"), everything)) == 96
    assert trained_on("elsewhere/model.pt", everything) == []


@pytest.mark.parametrize(("name", "counts"), [("montgomery", [96, 14, 28]), ("shenzhen", [396, 56, 114])])
def test_frozen_lists(name, counts):
    sections = frozen_splits()[name]
    assert sizes(sections) == counts
    everything = [stem for section in SECTIONS for stem in sections[section]]
    assert len(set(everything)) == len(everything) == sum(counts)
    assert {set_of(stem) for stem in everything} == {name}


def test_known_cases_keep_their_frozen_section():
    frozen = frozen_splits()
    known = [stem for sections in frozen.values() for stems in sections.values() for stem in stems]
    sections = split([*known, *NAMES], seed=3)
    for lists in frozen.values():
        for section in SECTIONS:
            assert set(lists[section]) <= set(sections[section])
    for name in SECTIONS:
        assert [c for c in sections[name] if set_of(c) == "other"] == split(NAMES, seed=3)[name]


def test_split_is_seeded_and_knows_no_order():
    shuffled = NAMES.copy()
    random.Random(1).shuffle(shuffled)
    assert split(NAMES, seed=5) == split(shuffled, seed=5)
    assert split(NAMES, seed=5) != split(NAMES, seed=6)
    assert sorted(chain(*split(NAMES, seed=5).values())) == sorted(NAMES)


def test_split_is_stratified():
    sections = split(NAMES)
    assert sizes(sections) == [140, 20, 40]
    for members in sections.values():
        assert sum(name.endswith("_1") for name in members) == pytest.approx(len(members) / 2, abs=2)


@pytest.mark.parametrize("rule", ["expression", "table"])
def test_a_patient_stays_on_one_side(tmp_path, rule):
    patients = PATIENT
    if rule == "table":
        patients = tmp_path / "patients.csv"
        patients.write_text("file,patient\n" + "".join(f"{name}.png,{name[:4]}\n" for name in NAMES))
    sections = split(NAMES, patients=patients)
    assert sizes(sections) == [140, 20, 40]
    seen = [{name[:4] for name in members} for members in sections.values()]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 100
    for fold in kfold(NAMES, 5, patients=patients):
        assert not {n[:4] for n in fold["train"]} & {n[:4] for n in fold["validation"]}


def test_a_table_of_patients_names_files_as_pairing_does(tmp_path):
    table = tmp_path / "patients.csv"
    table.write_text("file,patient\nimages/a.nii.gz,p\n1.2.840.7,p\n1.2.840.8.dcm,q\nb.v2,q\n")
    rule = patient_rule(table)
    assert [rule(name) for name in ("a", "sub/1.2.840.7", "1.2.840.8", "b.v2")] == ["p", "p", "q", "q"]


def test_a_table_of_patients_tells_sub_folders_apart(tmp_path):
    table = tmp_path / "patients.csv"
    table.write_text("file,patient\np0/1.png,a\np1/1.png,b\n/data/images/p2/1.png,c\np3/7.png,d\n")
    rule = patient_rule(table)
    assert [rule(name) for name in ("p0/1", "p1/1", "p2/1", "7", "elsewhere/7")] == ["a", "b", "c", "d", "d"]
    with fails("patient-ambiguous"):
        rule("1")
    table.write_text("file,patient\na.png,p\na.dcm,q\n")
    with fails("patient-ambiguous"):
        patient_rule(table)


def test_given_lists_must_keep_patients_together(tmp_path):
    folder = kaggle(tmp_path / "data", *(f"p{number}_{letter}" for number in range(4) for letter in "ab"))
    names = [case["name"] for case in datalist(folder, "all")]
    rule = {"splits_file": tmp_path / "s.json", "patients": r"p\d"}
    write_split(rule["splits_file"], {"train": names[:5], "validation": names[5:6], "test": names[6:]}, seed=0)
    with fails("patient-in-several-lists") as caught:
        datalist(folder, "train", **rule)
    assert caught.value.where == "p2"
    write_split(rule["splits_file"], {"train": names[:4], "validation": names[4:6], "test": names[6:]}, seed=0)
    assert [case["name"] for case in datalist(folder, "train", **rule)] == names[:4]


def test_patients_that_cannot_be_told(tmp_path):
    with fails("patient-missing"):
        split([*NAMES, "stranger"], patients=PATIENT)
    with fails("patient-rule-invalid", UsageError):
        split(NAMES, patients="(")
    for content in ("image,who\na,b\n", "file,patient\n,b\n"):
        (tmp_path / "p.csv").write_text(content)
        with fails("patient-table-invalid"):
            split(NAMES, patients=tmp_path / "p.csv")


def test_a_new_image_of_a_known_patient_follows_the_frozen_list():
    stem = frozen_splits()["montgomery"]["test"][0]
    sections = split([*NAMES, stem, f"{stem}-lateral"], patients=r"^(MCUCXR_\d+|p\d+)")
    assert {stem, f"{stem}-lateral"} <= set(sections["test"])
    with fails("patient-in-several-lists"):
        split(frozen_splits()["montgomery"]["test"] + frozen_splits()["montgomery"]["train"], patients="MCU")


@pytest.mark.parametrize(("count", "expected"), [(1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1]), (10, [7, 1, 2])])
def test_small_data_sets(count, expected):
    assert sizes(split([f"case{i}" for i in range(count)])) == expected


def test_folds():
    folds = kfold(NAMES, 4, seed=2)
    assert [len(fold["validation"]) for fold in folds] == [50] * 4
    assert sorted(name for fold in folds for name in fold["validation"]) == sorted(NAMES)
    assert all(sorted(fold["train"] + fold["validation"]) == sorted(NAMES) for fold in folds)
    assert kfold(NAMES[::-1], 4, seed=2) == folds
    assert kfold(NAMES, 4, seed=3) != folds
    with fails("folds-out-of-range", UsageError):
        kfold(["a", "b", "c"], 4)


def test_datalist_writes_the_split_and_reads_it_again(tmp_path):
    folder = kaggle(tmp_path / "data", *(f"case{i}" for i in range(10)))
    file = tmp_path / "runs/split.json"
    first = datalist(folder, "train", splits_file=file, seed=1)
    assert [item["name"] for item in first] == sorted(item["name"] for item in first)
    assert set(first[0]) == {"image", "label", "name", "set", "extent", "share"}
    assert json.loads(file.read_text())["seed"] == 1
    assert datalist(folder, "train", splits_file=file, seed=2) == first
    assert sum(len(datalist(folder, section, splits_file=file)) for section in SECTIONS) == 10
    kaggle(folder, *(f"case{i}" for i in range(10)), "late")
    with fails("split-outdated") as caught:
        datalist(folder, "train", splits_file=file)
    assert "late" in str(caught.value)
    (folder / "masks/case0.png").unlink()
    (folder / "masks/late.png").unlink()
    with fails("split-outdated") as caught:
        datalist(folder, "train", splits_file=file)
    assert "case0" in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", '{"train": []}', '{"train": ["a"], "validation": ["a"], "test": []}'])
def test_a_file_that_holds_no_split(tmp_path, content):
    (tmp_path / "split.json").write_text(content)
    with fails("split-invalid"):
        read_split(tmp_path / "split.json")


def test_a_data_set_of_one_pair(tmp_path):
    folder = kaggle(tmp_path, "only")
    assert len(datalist(folder, "train")) == 1
    with fails("section-empty"):
        datalist(folder, "validation")


def test_cases_can_be_left_out_and_sets_chosen(tmp_path):
    folder = kaggle(tmp_path, "a", "b", "MCUCXR_0001_0")
    assert [item["name"] for item in datalist(folder, "all", exclude=["b"])] == ["MCUCXR_0001_0", "a"]
    assert [item["set"] for item in datalist(folder, "all", sets="montgomery")] == ["montgomery"]
    with fails("no-pairs"):
        datalist(folder, "all", sets=["shenzhen"])
    with fails("set-unknown", UsageError):
        datalist(folder, "all", sets=["boston"])


def test_own_data_has_the_name_of_its_folder(tmp_path, monkeypatch):
    folder = kaggle(tmp_path / "Kigali 2024", "a", "b", "MCUCXR_0001_0")
    apart = {"images": folder / "CXR_png", "masks": folder / "masks"}
    monkeypatch.chdir(folder)
    for source in ({"dataset_dir": folder}, {"dataset_dir": "."}, {"dataset_dir": None, **apart}):
        cases = datalist(section="all", **source)
        assert {case["name"]: case["set"] for case in cases} == {
            "MCUCXR_0001_0": "montgomery",
            "a": "Kigali 2024",
            "b": "Kigali 2024",
        }
        for name in ("Kigali 2024", "other"):
            assert [case["name"] for case in datalist(section="all", sets=name, **source)] == ["a", "b"]
    assert {case["set"] for case in datalist(tmp_path, "all")} == {"montgomery", tmp_path.name}


def test_sections_that_are_not_known(tmp_path):
    folder = kaggle(tmp_path, "a")
    with fails("section-unknown", UsageError):
        datalist(folder, "valid")


def test_a_choice_of_sets_moves_no_case(tmp_path):
    names = [f"{prefix}{number}" for prefix in ("case", "MCUCXR_9", "CHNCXR_9") for number in range(10)]
    folder = kaggle(tmp_path / "data", *names)
    file = tmp_path / "split.json"
    for source in ({}, {"splits_file": file}):
        for section in SECTIONS:
            every = [item["name"] for item in datalist(folder, section, **source)]
            for name in ("montgomery", "other"):
                chosen = [item["name"] for item in datalist(folder, section, sets=[name], **source)]
                assert chosen == [case for case in every if set_of(case) == name]
    # A file may leave out the sets that are not asked for.
    sections = {name: [case for case in cases if set_of(case) == "other"] for name, cases in read_split(file).items()}
    file.write_text(json.dumps(sections))
    assert [item["name"] for item in datalist(folder, "test", sets="other", splits_file=file)] == sections["test"]
    with fails("split-outdated"):
        datalist(folder, "test", splits_file=file)


def test_the_frozen_lists_are_named_where_they_leave_a_section_empty(tmp_path):
    folder = kaggle(tmp_path, *frozen_splits()["montgomery"]["train"][:4])
    with fails("section-empty") as caught:
        datalist(folder, "validation")
    assert "the published lists of Montgomery and Shenzhen put 4 of them" in str(caught.value)


@needs_real_data
@pytest.mark.parametrize(
    ("sets", "counts"),
    [(None, [492, 70, 142]), (["montgomery"], [96, 14, 28]), (["shenzhen"], [396, 56, 114])],
)
def test_sections_of_the_public_collection(sets, counts):
    assert [len(datalist(REAL / "Lung Segmentation", section, sets)) for section in SECTIONS] == counts
    assert len(datalist(REAL / "Lung Segmentation", "all", sets)) == sum(counts)


def test_a_case_that_is_left_out_moves_no_other(tmp_path):
    folder = kaggle(tmp_path, *(f"case {number}" for number in range(10)))
    sections = {name: [item["name"] for item in datalist(folder, name)] for name in ("train", "validation", "test")}
    gone = sections["train"][0]
    for name, members in sections.items():
        left = [item["name"] for item in datalist(folder, name, exclude=[gone])]
        assert left == [member for member in members if member != gone]
    with fails("section-empty"):
        datalist(folder, "validation", exclude=sections["validation"])
