# SPDX-License-Identifier: Apache-2.0
"""Options, settings and runs that cannot be used."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from command_support import TINY


def test_a_moved_run_is_resumed_where_it_lies(command, run_folder, tmp_path):
    """It was finished, so there is nothing left to train; what is written is written beside it."""
    folder = shutil.copytree(run_folder, tmp_path / "moved")
    (folder / "run.json").unlink()
    before = (run_folder / "last.pt").stat().st_mtime_ns
    assert command("train", "--resume", "--output", folder).status == 0
    assert (folder / "run.json").is_file()
    assert (run_folder / "last.pt").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("epohcs=3", "did you mean epochs"),
        ("optimizer#weight_decai=0", "did you mean optimizer#weight_decay"),
        ("zzz=1", "'zzz'"),
        ("epochs", "ID=VALUE"),
        ("batch_size=many", "a number, such as 8"),
        ("network_def#channels=[4", "a list, such as [16,"),
        ("learning_rate=-1", "Invalid learning rate: -1"),
        ("loss=@los", "did you mean 'loss'?"),
        ("device=cuda:77", "device: "),
        ("val_interval=2", "val_interval"),
        ("cache_dir=2026", "give a text, such as ./2026"),
    ],
)
def test_a_wrong_override(begin, dataset, tmp_path, override, hint):
    done = begin(dataset, config=(override,))
    assert done.status == 2
    assert hint in done.sentence
    assert not (tmp_path / "run" / "last.pt").exists()


def test_an_interval_longer_than_the_patience(begin, dataset, tmp_path):
    done = begin(dataset, "--epochs", 5, config=("val_interval=2", "patience=1"))
    assert done.status == 0, done.err
    epochs = json.loads((tmp_path / "run" / "history.json").read_text())
    assert ["val_mean_iou" in epoch for epoch in epochs[:3]] == [True, False, True]
    assert (tmp_path / "run" / "model.pt").is_file()


def test_more_workers_than_cores(begin, dataset, tmp_path):
    done = begin(dataset, config=(f"num_workers={(os.cpu_count() or 1) + 2}",))
    assert done.status == 0, done.err
    assert (tmp_path / "run" / "model.pt").is_file()


def test_options_that_are_wrong(command, dataset, tmp_path):
    for call, reason in (
        (("evaluate", "--data", dataset, "--split", "tset"), "invalid choice: 'tset'"),
        (("train", "--data", dataset, "--epochs", "0"), "'0' is not a whole number"),
        (("train", "--data", dataset, "--epochs", "ten"), "'ten' is not a whole number"),
        (("train",), "--data DIR"),
        (("predict", "x.png"), "the following arguments are required: -o"),
        (("segment",), "invalid choice: 'segment'"),
        (("predict", "x.png", "-o", "out", "-q", "--debug"), "not allowed with"),
        (("train", "--data", dataset, "--images", tmp_path, "--output", tmp_path / "run"), "folder"),
        (("train", "--data", dataset, "--config", "output_dir=x"), "use --output"),
        (("train", "--data", dataset, "--epochs", "2", "--config", "epochs=1"), "use --epochs"),
        (("evaluate", "--data", dataset, "--config", "split=train"), "use --split"),
        (("evaluate", "--data", dataset, "--config", "device=cpu"), "use --device"),
        (("train", "--data", dataset, "--datasets", "boston", "--output", tmp_path / "run"), "'boston'"),
        (("check-data",), "--images DIR"),
        (("check-data", dataset, "-o", tmp_path / "sheet.jpg"), "sheet.jpg"),
    ):
        done = command(*call)
        assert done.status == 2
        assert reason in done.err
        assert "Traceback" not in done.err


def test_resume_where_there_is_no_run(command, tmp_path):
    done = command("train", "--resume", "--output", tmp_path / "run")
    assert done.status == 2
    assert f"{tmp_path / 'run'}: " in done.sentence
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_a_run_is_not_trained_into(command, dataset, run_folder):
    before = (run_folder / "model.pt").read_bytes()
    done = command("train", "--data", dataset, "--output", run_folder, "--config", *TINY)
    assert done.status == 2
    assert f"{run_folder}: " in done.sentence
    assert "--resume" in done.sentence
    assert (run_folder / "model.pt").read_bytes() == before


@pytest.mark.parametrize("damaged", ["config.json", "last.pt"])
def test_a_run_that_cannot_be_resumed(command, run_folder, tmp_path, damaged):
    folder = shutil.copytree(run_folder, tmp_path / "run")
    (folder / damaged).write_bytes(b"\x00")
    done = command("train", "--resume", "--output", folder)
    assert done.status == 1
    assert damaged in done.sentence


@pytest.mark.parametrize(
    "options", [("--batch-size", 3), ("--datasets", "montgomery"), ("--data", "x"), ("--masks", "y")]
)
def test_a_resumed_run_keeps_its_settings(command, run_folder, options):
    done = command("train", "--resume", "--output", run_folder, *options)
    assert done.status == 2
    assert f"{run_folder}: " in done.sentence
    assert "--resume" in done.sentence
