# SPDX-License-Identifier: Apache-2.0
"""Label maps with a collapsed lung, or with one lung, through the commands: their sides are kept."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from command_support import TINY

from lungseg.data import phantom
from lungseg.io import write_png

SIZE = (96, 72)
COUNT = 10


def _collapsed(labels: np.ndarray) -> np.ndarray:
    """Keep the upper quarter of the left lung."""
    rows = np.flatnonzero((labels == 2).any(axis=1))
    below = np.arange(labels.shape[0])[:, None] >= rows[len(rows) // 4]
    return np.where((labels == 2) & below, 0, labels).astype(np.uint8)


def _alone(labels: np.ndarray, side: int) -> np.ndarray:
    return (labels * (labels == side)).astype(np.uint8)


KINDS = {
    "collapsed": lambda labels, number: _collapsed(labels),
    "one lung": lambda labels, number: _alone(labels, 1 + number % 2),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def maps(tmp_path, kind):
    """Ten phantoms with label maps in which a lung is collapsed or missing."""
    for number in range(COUNT):
        image, labels = phantom((3, number), SIZE)
        write_png(tmp_path / "maps" / "images" / f"case{number}.png", image)
        write_png(tmp_path / "maps" / "labels" / f"case{number}.png", KINDS[kind](labels, number))
    return tmp_path / "maps"


def test_sides_that_are_stated_train_and_are_measured(command, maps, kind, tmp_path):
    stated = ("--labels", "right=1,left=2")
    done = command("check-data", maps, "--no-model", "-o", tmp_path / "sheet.png", *stated)
    assert done.status == 0, done.err
    assert "[unusable]" not in done.out
    assert done.out.count("one-lung: ") == (COUNT if kind == "one lung" else 0)
    assert "union" not in done.out
    run = tmp_path / "run"
    done = command("train", "--data", maps, "-o", run, *stated, "--config", *TINY, "epochs=1")
    assert done.status == 0, done.err
    assert ("the other one counts as absent" in done.err) == (kind == "one lung")
    assert json.loads((run / "run.json").read_text())["best"] is not None
    out = tmp_path / "figures"
    done = command("evaluate", "--data", maps, "--split", "all", "--weights", run, "-o", out, *stated)
    assert done.status == 0, done.err
    with (out / "cases.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == COUNT
    for row in rows:
        number = int(row["name"].removeprefix("case"))
        present = ("right", "left") if kind == "collapsed" else (("right", "left")[number % 2],)
        for side in present:
            assert row[f"dice_{side}"], row
        for side in {"right", "left"}.difference(present):
            # Nothing to measure if the network finds none either, and 0 if it invents one.
            assert row[f"dice_{side}"] in ("", "nan", "0", "0.0", "0.0000"), row


def test_a_folder_of_studies_is_a_data_set_with_its_final_labels(command, tmp_path):
    for number in range(3):
        image, labels = phantom((3, number), SIZE)
        write_png(tmp_path / f"case{number}.png", image)
        for tag, label in (("final", _alone(labels, 1)), ("original", labels)):
            write_png(tmp_path / "labels" / tag / f"case{number}.png", label)
    (tmp_path / "datastore_v2.json").write_text("{}")
    sheet = tmp_path / "sheet.png"
    done = command("check-data", tmp_path, "--no-model", "-o", sheet)
    assert done.status == 0, done.err
    assert done.out.count("one-lung: ") == 3
    sheet.unlink()
    apart = ("--images", tmp_path, "--masks", tmp_path / "labels" / "final", "--labels", "right=1,left=2")
    done = command("check-data", *apart, "--no-model", "-o", sheet)
    assert [line.split() for line in done.out.splitlines()[1:4]] == [["3", "images"], ["3", "masks"], ["3", "pairs"]]


def test_maps_of_one_lung_alone_need_a_statement(command, tmp_path):
    """A file of the value 1 can be a binary mask whose second lung was forgotten."""
    for number in range(3):
        image, labels = phantom((3, number), SIZE)
        write_png(tmp_path / "images" / f"case{number}.png", image)
        write_png(tmp_path / "labels" / f"case{number}.png", _alone(labels, 1))
    done = command("check-data", tmp_path, "--no-model", "-o", tmp_path / "sheet.png")
    assert done.status == 1
    assert "--labels right=1,left=2" in done.out
