# SPDX-License-Identifier: Apache-2.0
"""Data sets that cannot be used, or only in part."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_support import TINY
from monai.bundle import ConfigWorkflow
from output_support import leftovers
from PIL import Image

from lungseg.data import datalist
from lungseg.model.config import parse_overrides
from lungseg.training.train import train
from lungseg.utils.errors import LungsegError


def test_a_data_set_that_is_not_there_or_empty(begin, command, tmp_path):
    (tmp_path / "nothing").mkdir()
    for folder in ("gone", "nothing"):
        for done in (begin(tmp_path / folder), command("check-data", tmp_path / folder)):
            assert done.status == 2
            assert f"{tmp_path / folder}: " in done.sentence
    assert not (tmp_path / "run").exists()


def test_a_data_set_of_one_pair(begin, command, run_folder, own, tmp_path):
    for path in [*(own / "CXR_png").iterdir(), *(own / "masks").iterdir()]:
        if path.stem != "phantom_0001":
            path.unlink()
    done = begin(own)
    assert done.status == 1
    assert f"{own}: " in done.sentence
    assert "validation" in done.sentence
    assert not (tmp_path / "run").exists()
    call = ("evaluate", "--data", own, "--weights", run_folder, "--output", tmp_path / "out")
    assert command(*call).status == 1
    done = command(*call, "--split", "all")
    assert done.status == 0, done.err
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["overall"]["metrics"]["iou"]["n"] == 1


def test_files_that_are_not_used_are_named_and_the_rest_is_trained_on(begin, own, tmp_path):
    (own / "masks" / "phantom_0002.png").write_bytes(b"")
    Image.new("L", (96, 72)).save(own / "masks" / "phantom_0003.png")
    (own / "masks" / "phantom_0004.png").unlink()
    shutil.copy(own / "masks" / "phantom_0001.png", own / "masks" / "stranger.png")
    (own / "CXR_png" / "phantom_0005.png").write_text("no picture")
    done = begin(own)
    assert done.status == 0, done.err
    named = done.out + done.err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    sections = record["data"]
    for name in record["excluded"]:
        assert f"{name}.png: " in named
    assert set(record["excluded"]) <= {"phantom_0002", "phantom_0003", "phantom_0005"}
    assert record["excluded"]
    assert "stranger.png" in named
    assert "phantom_0004.png" in named
    assert sections["train"]["cases"] + sections["validate"]["cases"] + len(record["excluded"]) == 9


def test_equal_radiographs_are_named_before_training(begin, own):
    first, second = datalist(own, "train")[0], datalist(own, "validation")[0]
    shutil.copy(first["image"], second["image"])
    done = begin(own)
    assert done.status == 0, done.err
    names = sorted(Path(case["image"]).name for case in (first, second))
    (line,) = (line for line in (done.out + done.err).splitlines() if names[0] in line)
    assert f"{names[1]}: duplicate-image" in line


def test_evaluation_names_what_it_leaves_out(command, own, run_folder, tmp_path):
    (own / "masks" / "phantom_0002.png").write_bytes(b"")
    call = ("evaluate", "--data", own, "--split", "all", "--weights", run_folder, "--output", tmp_path / "out")
    done = command(*call)
    assert done.status == 0, done.err
    assert "phantom_0002.png: unreadable" in done.out + done.err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["overall"]["metrics"]["iou"]["n"], summary["excluded"]) == (11, ["phantom_0002"])
    assert "phantom_0002" in (tmp_path / "out" / "index.html").read_text()


def test_a_data_set_whose_masks_are_all_unusable(begin, own, tmp_path):
    for path in (own / "masks").iterdir():
        path.write_bytes(b"")
    done = begin(own)
    assert done.status == 1
    assert "Traceback" not in done.err
    assert str(own) in done.err.splitlines()[-1]


@pytest.mark.parametrize("cache", ["none", "disk"])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_mask_that_becomes_unreadable_in_the_middle_of_training(own, tmp_path, monkeypatch, workers, cache):
    """With a data worker the sentence comes from another process, as text."""
    settings = parse_overrides((*TINY, f"cache={cache}", f"num_workers={workers}"))
    settings |= {"dataset_dir": str(own), "epochs": 1}

    run = ConfigWorkflow.run

    def spoil_and_run(self):
        for path in (own / "masks").iterdir():
            path.write_bytes(path.read_bytes()[:60])
        return run(self)

    monkeypatch.setattr(ConfigWorkflow, "run", spoil_and_run)
    with pytest.raises(LungsegError, match=r"masks/phantom_00\d\d\.png: "):
        train(tmp_path / "run", settings)
    assert not leftovers(tmp_path / "run")
