# SPDX-License-Identifier: Apache-2.0
"""A run remembers its lists: what it trained on is not tested on without a word."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
from command_support import TINY
from data_support import kaggle

from lungseg.data import datalist, frozen_splits
from lungseg.data.splits import read_split
from lungseg.model.config import parse_overrides
from lungseg.training.provenance import trained_on
from lungseg.training.train import train
from lungseg.utils.errors import LungsegError, UsageError

SEED = 3


def short(data: Path, *more: str) -> dict:
    return {"dataset_dir": str(data), "epochs": 1, **parse_overrides((*TINY, *more))}


def measured(folder: Path) -> set[str]:
    with (folder / "cases.csv").open(newline="", encoding="utf-8") as file:
        return {row["name"] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return kaggle(tmp_path_factory.mktemp("data"), *(f"p{number}" for number in range(20)))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    """A run with a seed of its own, hence lists of its own, and one pair that it left out."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(folder, short(data, f"seed={SEED}", 'data_source#exclude=["p7"]'))
    return folder


def test_a_run_writes_the_lists_that_it_used(run, data):
    lists = read_split(run / "splits.json")
    for section in ("train", "validation", "test"):
        assert lists[section] == [case["name"] for case in datalist(data, section, seed=SEED, exclude=["p7"])]
    assert lists["excluded"] == ["p7"]
    record = json.loads((run / "run.json").read_text())["data"]
    for key, section in (("train", "train"), ("validate", "validation")):
        assert record[key]["cases"] == len(lists[section])
    # Another run can have the same lists.
    assert [case["name"] for case in datalist(data, "train", splits_file=run / "splits.json")] == lists["train"]


def test_the_test_list_of_a_run_is_what_its_weights_are_tested_on(command, run, data, tmp_path):
    grown = shutil.copytree(data, tmp_path / "grown")
    kaggle(grown, *(f"p{number}" for number in range(20)), *(f"new{number}" for number in range(10)))
    lists = read_split(run / "splits.json")
    for folder in (data, grown):
        done = command("evaluate", "--data", folder, "--weights", run, "--output", tmp_path / "out")
        assert done.status == 0, done.err
        assert set(lists["test"]) <= measured(tmp_path / "out")
        assert not measured(tmp_path / "out") & {*lists["train"], *lists["validation"]}
        assert "trained on" not in done.err
    assert any(name.startswith("new") for name in measured(tmp_path / "out"))


def test_training_images_among_those_measured_are_told(command, run, data, tmp_path):
    lists = read_split(run / "splits.json")
    splits = tmp_path / "other.json"
    swapped = {"train": lists["test"] + lists["excluded"], "validation": lists["validation"], "test": lists["train"]}
    splits.write_text(json.dumps(swapped))
    call = ("evaluate", "--data", data, "--weights", run / "model.pt", "--output", tmp_path / "out")
    for more, count in ((("--splits", splits), len(lists["train"])), (("--split", "all"), 20)):
        done = command(*call, *more)
        assert done.status == 0, done.err
        told = f"{len(lists['train'])} of the {count} cases have the names of cases that the weights were trained on"
        assert told in done.err
        assert ", ".join(lists["train"][:3]) in done.err
        assert told in json.loads((tmp_path / "out" / "summary.json").read_text())["warning"]
        assert told in (tmp_path / "out" / "index.html").read_text()


def test_evaluation_says_what_it_measures(command, run, data, tmp_path):
    call = ("evaluate", "--data", data, "--weights", run, "--output", tmp_path)
    count = len(read_split(run / "splits.json")["test"])
    told = f"Measuring the test list, {count} of 20 pairs of image and mask; --split all takes all."
    assert told in command(*call).out.splitlines()
    assert "Measuring 20 of 20 pairs of image and mask." in command(*call, "--split", "all").out.splitlines()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["title"], summary["data"]) == ("Evaluation: all", str(data))
    page = (tmp_path / "index.html").read_text()
    assert "Evaluation: all" in page
    assert data.name in page
    assert str(data) not in page


def test_a_run_is_resumed_from_another_folder(data, tmp_path, monkeypatch):
    (tmp_path / "patients.csv").write_text("file,patient\n" + "".join(f"p{n}.png,{n}\n" for n in range(20)))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(data, "data")
    train("first", short("data"))
    settings = short("data", "data_source#patients=patients.csv", "init=first/model.pt")
    train("run", settings)
    (tmp_path / "run" / "last.pt").unlink()
    monkeypatch.chdir("/")
    assert train(tmp_path / "run", resume=True)["epochs"] == 1


def test_a_resumed_run_keeps_its_lists(data, run, tmp_path, caplog):
    caplog.set_level("INFO", "lungseg")
    folder, grown = shutil.copytree(run, tmp_path / "run"), shutil.copytree(data, tmp_path / "grown")
    before = read_split(folder / "splits.json")
    kaggle(grown, *(f"p{number}" for number in range(20)), *(f"a{number}" for number in range(10)))
    config = json.loads((folder / "config.json").read_text()) | {"dataset_dir": str(grown)}
    (folder / "config.json").write_text(json.dumps(config))
    for times in (1, 0):
        caplog.clear()
        train(folder, resume=True)
        assert sum("a0, a1, a2 and 7 more" in line for line in caplog.messages) == times
        after = read_split(folder / "splits.json")
        assert after | {"excluded": ["p7"]} == before
        assert after["excluded"] == sorted([*(f"a{number}" for number in range(10)), "p7"])


def test_a_run_of_an_older_version_is_not_resumed(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    del config["ckpt_dir"]  # new in version 1.0
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(LungsegError) as error:
        train(folder, resume=True)
    assert error.value.code == "run-of-older-version"


def test_what_a_run_saw_stays_seen_in_the_next_one(command, data, run, tmp_path, caplog):
    caplog.set_level("INFO", "lungseg")
    grown = shutil.copytree(data, tmp_path / "grown")
    kaggle(grown, *(f"p{number}" for number in range(20)), *(f"a{number}" for number in range(10)))
    train(tmp_path / "next", short(grown), init=run)
    assert any(str(run) in line for line in caplog.messages)
    first, second = read_split(run / "splits.json"), read_split(tmp_path / "next" / "splits.json")
    for section in ("train", "validation", "test"):
        assert set(first[section]) < set(second[section])
    # Lists of one's own may differ; but what the first run learned from is not forgotten.
    names = {"train": first["test"], "validation": first["validation"], "test": [*first["train"], "p7"]}
    (tmp_path / "own.json").write_text(json.dumps(names))
    settings = short(data, f"data_source#splits_file={tmp_path / 'own.json'}")
    train(tmp_path / "own", settings, init=run)
    train(tmp_path / "own", resume=True)
    done = command("evaluate", "--data", data, "--weights", tmp_path / "own", "--output", tmp_path / "out")
    assert f"{len(first['train'])} of the {len(names['test'])} cases have the names of cases that" in done.err


def test_what_the_shipped_weights_saw_is_not_forgotten(data, tmp_path):
    train(tmp_path / "run", {"dataset_dir": str(data), "epochs": 1, "num_workers": 0}, "open")
    stem = frozen_splits()["montgomery"]["train"][0]
    names = [stem, f"sub/{stem}", frozen_splits()["montgomery"]["test"][0], "x"]
    assert trained_on(tmp_path / "run" / "model.pt", names) == [stem, f"sub/{stem}"]


def test_a_new_image_of_a_patient_follows_the_run(command, data, tmp_path):
    patients = short(data, r"data_source#patients=^p(\d+)")
    train(tmp_path / "run", patients)
    grown = shutil.copytree(data, tmp_path / "grown")
    kaggle(grown, *(f"p{number}" for number in range(20)), *(f"p{number}_b" for number in range(20)))
    done = command("evaluate", "--data", grown, "--weights", tmp_path / "run", "--output", tmp_path / "out")
    assert done.status == 0, done.err
    test = read_split(tmp_path / "run" / "splits.json")["test"]
    assert measured(tmp_path / "out") == {*test, *(f"{name}_b" for name in test)}


def test_a_run_does_not_go_on_without_what_it_saw(data, run, tmp_path):
    lists = read_split(run / "splits.json")
    shrunk = shutil.copytree(data, tmp_path / "shrunk")
    moved = shutil.copytree(run, tmp_path / "run")
    config = json.loads((moved / "config.json").read_text())
    (moved / "config.json").write_text(json.dumps(config | {"dataset_dir": str(shrunk)}))
    (shrunk / "masks" / f"{lists['train'][0]}.png").unlink()
    with pytest.raises(LungsegError) as error:
        train(moved, resume=True)
    assert error.value.code == "cases-missing"
    assert lists["train"][0] in str(error.value)
    assert read_split(moved / "splits.json") == lists


def test_lists_that_are_damaged_are_told_before_the_work(command, run, data, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / "splits.json").write_text("{")
    (tmp_path / "own.json").write_text((run / "splits.json").read_text())
    for more in ((), ("--splits", tmp_path / "own.json")):
        done = command("evaluate", "--data", data, "--weights", folder, "--output", tmp_path / "out", *more)
        assert done.status == 1
        assert "splits.json: this is not a split" in done.sentence
        assert not (tmp_path / "out").exists()


def test_an_empty_list_of_the_run_is_told(command, run, tmp_path):
    few = kaggle(tmp_path / "few", *read_split(run / "splits.json")["train"][:3])
    done = command("evaluate", "--data", few, "--weights", run, "--output", tmp_path / "out")
    assert done.status == 1
    assert "the section test is empty: there are 3 pairs of image and mask, and the lists in" in done.sentence


DEEP = ("network_def#channels=[4,4,4,4,4]", "network_def#strides=[2,2,2,2]")


@pytest.mark.parametrize("size", [100, 0, -16, 48.5])
def test_a_size_that_the_network_cannot_halve(data, tmp_path, size):
    with pytest.raises(UsageError) as error:
        train(tmp_path / "run", short(data, f"image_size={size}", *DEEP))
    assert error.value.code == "bad-image-size"
    assert not (tmp_path / "run").exists()


def test_names_that_are_no_text(command, tmp_path):
    data = kaggle(tmp_path / "data", *(os.fsdecode(b"caf\xe9") + str(number) for number in range(10)))
    assert command("check-data", data, "-o", tmp_path / "sheet.png").status == 0
    train(tmp_path / "run", short(data))
    done = command("evaluate", "--data", data, "--weights", tmp_path / "run", "--output", tmp_path / "out")
    assert done.status == 0, done.err
    for file in ("cases.csv", "index.html"):
        assert "caf\\udce9" in (tmp_path / "out" / file).read_text(encoding="utf-8")
