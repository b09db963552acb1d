# SPDX-License-Identifier: Apache-2.0
"""A cross-validation holds each case out once, keeps patients together, and goes on where it was stopped."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import statistics
from pathlib import Path

import pytest
from command_support import TINY
from errors_support import fails
from stopping_support import hooked, start

from lungseg.data import write_phantoms
from lungseg.data.splits import read_split
from lungseg.evaluation.folds import draw_folds
from lungseg.utils.errors import UsageError

NAMES = [f"p{number:02d}_{view}" for number in range(20) for view in "ab"] + [f"CHNCXR_{n:04d}_1" for n in range(10)]
RULE = r"^(p\d+|CHNCXR_\d+)"


def arguments(data: Path, output: Path, *more: object) -> tuple[object, ...]:
    options = ("--folds", 3, "--data", data, "-o", output, "--epochs", 3, "--patients", r"\d+$", "--lr", 0.002, *more)
    return ("kfold", *options, "--config", *TINY)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("data") / "nine", count=9, seed=3, size=(72, 64))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    """A cross-validation that nothing stopped."""
    from command_support import restored_process

    from lungseg.cli.main import main

    output = tmp_path_factory.mktemp("kfold") / "whole"
    with restored_process():
        assert main([str(argument) for argument in arguments(data, output)]) == 0
    return output


@pytest.fixture
def stop(monkeypatch):
    """Stop the process, as Ctrl-C does, when a file whose path ends so is finished for the n-th time."""
    replace = os.replace

    def prepare(ending: str, count: int = 1) -> None:
        seen = []

        def stopping(source, target, *more, **other):
            if str(target).endswith(ending):
                seen.append(target)
                if len(seen) == count:
                    raise KeyboardInterrupt
            replace(source, target, *more, **other)

        monkeypatch.setattr(os, "replace", stopping)

    return prepare


def result(output: Path) -> dict:
    return json.loads((output / "kfold.json").read_text())


def test_each_case_is_held_out_once_and_patients_stay_together():
    folds = draw_folds(NAMES, 5, seed=1, patients=RULE)
    assert sorted(name for fold in folds for name in fold["test"]) == sorted(NAMES)
    for fold in folds:
        assert sorted(name for members in fold.values() for name in members) == sorted(NAMES)
        patients = [{re.search(RULE, name)[0] for name in members} for members in fold.values()]
        assert sum(map(len, patients)) == len(set.union(*patients)) == 30
        assert len(patients[1]) == 3
        # Stratified by data set: ten of thirty patients are of Shenzhen.
        assert sum(name.startswith("CHN") for name in fold["test"]) == 2
    assert folds == draw_folds(NAMES[::-1], 5, seed=1, patients=RULE)
    assert folds != draw_folds(NAMES, 5, seed=2, patients=RULE)


def test_folds_of_few_patients():
    assert [sorted(map(len, fold.values())) for fold in draw_folds("abc", 3)] == [[1, 1, 1]] * 3
    for names, k in (("ab", 2), ("abc", 2), ("abc", 4), ("abc", 1)):
        with fails("folds-out-of-range", UsageError):
            draw_folds(names, k)


def test_the_folds_are_runs_that_measured_what_they_held_out(whole, data):
    names = sorted(path.stem for path in (data / "CXR_png").iterdir())
    with open(whole / "cases.csv", newline="") as file:
        cases = list(csv.DictReader(file))
    assert sorted(case["name"] for case in cases) == names
    plan = json.loads((whole / "folds.json").read_text())
    for number, lists in enumerate(plan["lists"], start=1):
        run = whole / f"fold-{number}"
        used = read_split(run / "splits.json")
        assert {section: used[section] for section in lists} == lists
        assert {case["name"] for case in cases if case["fold"] == run.name} == set(lists["test"])
        assert json.loads((run / "run.json").read_text())["config"]["learning_rate"] == 0.002
        assert f'href="fold-{number}/evaluation/index.html"' in (whole / "index.html").read_text()
        assert (run / "evaluation" / "index.html").is_file()


def test_mean_and_deviation_are_those_of_the_folds(whole):
    found = result(whole)
    means = [json.loads((whole / f"fold-{n}/evaluation/summary.json").read_text())["overall"] for n in (1, 2, 3)]
    for key in ("dice", "hd95_px"):
        values = [mean["metrics"][key]["mean"] for mean in means]
        assert found["mean"][key] == pytest.approx(statistics.mean(values), rel=1e-5)
        assert found["sd"][key] == pytest.approx(statistics.stdev(values), rel=1e-4)
    assert found["cases"]["n"] == 9
    assert found["cases"]["metrics"]["dice"]["ci_low"] <= found["cases"]["metrics"]["dice"]["mean"]
    with open(whole / "kfold.csv", newline="") as file:
        table = {line["fold"]: line for line in csv.DictReader(file)}
    assert list(table) == ["fold-1", "fold-2", "fold-3", "mean", "sd", "all cases", "ci_low", "ci_high"]
    assert float(table["sd"]["dice"]) == pytest.approx(found["sd"]["dice"], rel=1e-5)


@pytest.mark.slow
def test_stopped_within_and_between_folds_it_ends_with_the_same_figures(whole, data, command, stop, tmp_path):
    output = tmp_path / "kfold"
    stop("fold-2/history.json", 2)
    stopped = command(*arguments(data, output))
    assert stopped.status == 130
    assert "the same command goes on" in stopped.err
    first = (output / "fold-1" / "model.pt").stat().st_mtime_ns
    assert not (output / "fold-2" / "run.json").exists()

    stop("fold-2/evaluation/cases.csv")
    assert command(*arguments(data, output)).status == 130
    assert (output / "fold-2" / "run.json").is_file()

    stop("fold-3/config.json")
    assert command(*arguments(data, output)).status == 130
    assert (output / "fold-2" / "evaluation" / "index.html").is_file()

    stop("nothing")
    done = command(*arguments(data, output))
    assert done.status == 0, done.err
    assert "Fold 1 of 3: trained already." in done.out
    assert (output / "fold-1" / "model.pt").stat().st_mtime_ns == first
    assert result(output) == result(whole)
    # Once more, with nothing left to do.
    assert "training" not in command(*arguments(data, output)).out
    assert result(output) == result(whole)


@pytest.mark.slow
def test_killed_in_an_epoch_it_goes_on(whole, data, command, tmp_path):
    output = tmp_path / "kfold"
    environment = hooked(tmp_path / "hook", "fold-1/.last.", "kill-once")
    process = start("-m", "lungseg", *arguments(data, output), environment=environment)
    process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL
    assert command(*arguments(data, output)).status == 0
    assert result(output) == result(whole)


def test_other_options_are_refused(whole, data, command, tmp_path):
    for changed, named in (
        (arguments(data, whole, "--datasets", "other"), "data_source#sets was not set"),
        ((*arguments(data, whole), "patience=3"), "patience was not set"),
        (("kfold", "--folds", 4, *arguments(data, whole)[3:]), "folds was 3"),
    ):
        refused = command(*changed)
        assert refused.status == 2
        assert named in refused.sentence
    assert command(*arguments(data, tmp_path / "new", "--splits", tmp_path / "lists.json")).status == 2
    assert not (tmp_path / "new" / "folds.json").exists()


def test_code_of_your_own_is_asked_for_before_the_first_fold(data, command, tmp_path):
    own = (*arguments(data, tmp_path / "own"), 'loss={"_target_": "mypackage.Loss"}')
    refused = command(*own)
    assert refused.status == 2
    assert "add --trust" in refused.sentence
    assert not (tmp_path / "own" / "folds.json").exists()


def test_changed_data_are_refused(whole, data, command, tmp_path):
    moved = tmp_path / "data"
    shutil.copytree(data, moved)
    output = tmp_path / "kfold"
    shutil.copytree(whole, output)
    plan = json.loads((output / "folds.json").read_text())
    plan["settings"]["dataset_dir"] = str(moved)
    (output / "folds.json").write_text(json.dumps(plan))
    gone = sorted((moved / "CXR_png").iterdir())[0]
    gone.unlink()
    refused = command(*arguments(moved, output))
    assert refused.status == 1
    assert gone.stem in refused.sentence
