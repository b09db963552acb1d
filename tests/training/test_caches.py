# SPDX-License-Identifier: Apache-2.0
"""A training is the same wherever its prepared images are held."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from command_support import TINY

from lungseg.data import Caches
from lungseg.model.config import parse_overrides
from lungseg.training.seeding import EpochSeeder
from lungseg.training.train import train


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    """Train a tiny network for an epoch: `trained("disk")` is the folder of the run."""

    def run(kind: str, **more) -> Path:
        output = tmp_path_factory.mktemp(kind) / "run"
        settings = {"dataset_dir": str(dataset), "epochs": 2, "cache": kind, **more}
        train(output, parse_overrides(TINY) | settings)
        return output

    return run


def history(output: Path) -> list:
    return [
        {key: value for key, value in entry.items() if key != "seconds"}
        for entry in json.loads((output / "history.json").read_text())
    ]


def test_each_cache_gives_the_same_training(trained, tmp_path):
    runs = {kind: trained(kind) for kind in ("memory", "disk", "none")}
    runs["kept"] = trained("disk", cache_dir=str(tmp_path))
    runs["found"] = trained("disk", cache_dir=str(tmp_path))
    weights = {
        kind: torch.load(output / "last.pt", weights_only=True)["state"]["network"] for kind, output in runs.items()
    }
    for kind, output in runs.items():
        assert history(output) == history(runs["memory"])
        assert all(torch.equal(value, weights["memory"][name]) for name, value in weights[kind].items())
        lines = (output / "train.log").read_text().splitlines()
        assert lines[1].startswith("Cache: ")
        # What is only of use to a training that goes on is gone at its end.
        assert not (output / "cache").exists()
    assert "are there" in (runs["found"] / "train.log").read_text()
    assert len(list((tmp_path / "lungseg").glob("*.case"))) >= 9


def test_a_stopped_training_goes_on_with_its_files(dataset, trained, tmp_path, monkeypatch):
    output = tmp_path / "run"
    seed = EpochSeeder.__call__

    def stop(self, engine):
        if engine.state.epoch == 2:
            raise RuntimeError("stopped")
        seed(self, engine)

    with monkeypatch.context() as patch:
        patch.setattr(EpochSeeder, "__call__", stop)
        with pytest.raises(RuntimeError, match="stopped"):
            train(output, parse_overrides(TINY) | {"dataset_dir": str(dataset), "epochs": 2, "cache": "disk"})
    files = {file.name: file.stat().st_mtime_ns for file in (output / "cache").glob("*.case")}
    assert len(files) >= 9
    monkeypatch.setattr(Caches, "remove", lambda self: None)
    train(output, resume=True)
    found = {file.name: file.stat().st_mtime_ns for file in (output / "cache").glob("*.case")}
    assert files.items() <= found.items()
    assert "are there" in (output / "train.log").read_text()
    assert history(output) == history(trained("memory"))
