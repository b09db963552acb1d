# SPDX-License-Identifier: Apache-2.0
"""A run that is finished, or stopped, trains longer: `lungseg train --resume --epochs 80`."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

EPOCHS = 3


@pytest.fixture
def run(run_folder, tmp_path) -> Path:
    """A copy of a finished run."""
    return shutil.copytree(run_folder, tmp_path / "run")


def read(file: Path):
    return json.loads(file.read_text("utf-8"))


def edit(file: Path, **items) -> None:
    file.write_text(json.dumps(read(file) | items))


def cosine(rate: float, epochs: int, done: int) -> float:
    """The learning rate of the epoch after those that are done."""
    return rate / 100 + (rate - rate / 100) * (1 + math.cos(math.pi * done / epochs)) / 2


def test_more_epochs_are_trained_and_recorded(command, run):
    begun = read(run / "run.json")
    before = begun["epochs"]
    done = command("train", "--resume", "-o", run, "--epochs", before + EPOCHS)
    assert done.status == 0, done.err
    epochs = before + EPOCHS
    change = {"after_epoch": before, "settings": {"epochs": [before, epochs]}}
    assert f"Continuing after epoch {before}, now with epochs {epochs} (before {before})." in (
        run / "train.log"
    ).read_text("utf-8")
    assert read(run / "config.json")["epochs"] == epochs
    record = read(run / "run.json")
    assert (record["epochs"], record["config"]["epochs"], record["changes"]) == (epochs, epochs, [change])
    assert begun["changes"] == []
    history = read(run / "history.json")
    assert [entry["epoch"] for entry in history] == list(range(epochs + 1))
    # The rate is that of a run of this length from here on.
    rate = record["config"]["learning_rate"]
    rates = [entry["learning_rate"] for entry in history[before + 1 :]]
    assert rates == pytest.approx([cosine(rate, epochs, one) for one in range(before, epochs)])
    # It is a run like any other: it is resumed, and there is nothing left to do.
    kept = (run / "last.pt").read_bytes()
    again = command("train", "--resume", "-o", run)
    assert again.status == 0, again.err
    assert (run / "last.pt").read_bytes() == kept
    assert read(run / "run.json")["changes"] == [change]


def test_epochs_that_were_edited_by_hand_count(command, run):
    before = read(run / "run.json")["epochs"]
    edit(run / "config.json", epochs=before + 1)
    assert command("train", "--resume", "-o", run).status == 0
    change = {"after_epoch": before, "settings": {"epochs": [before, before + 1]}}
    assert read(run / "run.json")["changes"] == [change]


def test_what_does_not_change_the_weights_may_change(command, run):
    before = read(run / "run.json")["epochs"]
    options = ("--epochs", before + 1, "--workers", 1, "--device", "cpu")
    assert command("train", "--resume", "-o", run, *options).status == 0
    config = read(run / "config.json")
    assert (config["num_workers"], config["device"]) == (1, "cpu")


def test_images_may_be_held_elsewhere(command, run, monkeypatch, tmp_path):
    """The error of a full memory gives that advice, and a run that met it goes on."""
    monkeypatch.chdir(tmp_path)
    before = read(run / "run.json")["epochs"]
    given = ("cache=disk", "cache_dir=prepared", "cache_memory=4")
    done = command("train", "--resume", "-o", run, "--epochs", before + 1, "--config", *given)
    assert done.status == 0, done.err
    config = read(run / "config.json")
    kept = str(tmp_path / "prepared")
    assert (config["cache"], config["cache_dir"], config["cache_memory"]) == ("disk", kept, 4)
    assert list((tmp_path / "prepared" / "lungseg").glob("*.case"))


@pytest.mark.parametrize(("name", "value"), [("batch_size", 3), ("seed", 7), ("image_size", 64)])
def test_another_setting_that_was_edited_by_hand_is_named(command, run, name, value):
    before = read(run / "config.json")[name]
    edit(run / "config.json", epochs=9, **{name: value})
    done = command("train", "--resume", "-o", run)
    assert done.status == 2
    assert f"{name} ({before}, now {value})" in done.sentence
    assert "epochs" not in done.sentence
    assert "config.json" in done.sentence


@pytest.mark.parametrize("options", [("--batch-size", 3), ("--lr", "0.1"), ("--config", "optimizer#weight_decay=0")])
def test_another_setting_that_is_given_is_named(command, run, options):
    before = (run / "config.json").read_bytes()
    done = command("train", "--resume", "-o", run, "--epochs", 9, *options)
    assert done.status == 2
    assert {"--batch-size": "batch_size", "--lr": "learning_rate"}.get(options[0], "weight_decay") in done.sentence
    assert f"--init {run}" in done.sentence
    assert (run / "config.json").read_bytes() == before


def test_fewer_epochs_than_are_done(command, run):
    edit(run / "config.json", epochs=3)
    assert command("train", "--resume", "-o", run).status == 0
    before = (run / "config.json").read_bytes()
    done = command("train", "--resume", "-o", run, "--epochs", 2)
    assert done.status == 2
    assert "3 epochs are done" in done.sentence
    assert (run / "config.json").read_bytes() == before


def test_a_run_that_no_longer_improved_goes_on_with_more_patience(command, run):
    """The best epoch of the run that is resumed is far behind."""
    before = read(run / "run.json")["epochs"]
    stored = torch.load(run / "last.pt", weights_only=True)
    best = {"best_metric": 1.0, "best_metric_epoch": before}
    torch.save(stored | best, run / "last.pt")
    stopped = command("train", "--resume", "-o", run, "--epochs", before + 3, "--config", "patience=1")
    assert stopped.status == 0, stopped.err
    assert read(run / "run.json")["epochs"] == before + 1
    same = command("train", "--resume", "-o", run)
    assert same.status == 0, same.err
    assert read(run / "run.json")["epochs"] == before + 1
    assert "--config patience=N" in (run / "train.log").read_text("utf-8").splitlines()[-3:][0]
    assert command("train", "--resume", "-o", run, "--config", "patience=9").status == 0
    assert read(run / "run.json")["epochs"] == before + 3
