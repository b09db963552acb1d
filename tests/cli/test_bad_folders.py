# SPDX-License-Identifier: Apache-2.0
"""Folders that refuse files, and disks that are full. Tests may run as root, who may write anywhere: a folder below a
file, and one in /proc, refuse root too."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command_support import TINY
from output_support import leftovers, statuses
from PIL import Image

from lungseg.model.weights import save_checkpoint
from lungseg.utils.errors import LungsegError


def refusing_folders(tmp_path) -> list[Path]:
    (tmp_path / "file").write_text("")
    return [tmp_path / "file", tmp_path / "file" / "below", Path("/proc/lungseg")]


def test_results_that_cannot_be_written(command, dataset, run_folder, picture, tmp_path):
    calls = [
        ("predict", picture, "--weights", run_folder, "-o"),
        ("evaluate", "--data", dataset, "--weights", run_folder, "--output"),
        ("train", "--data", dataset, "--config", *TINY, "--output"),
        ("demo", "--output"),
    ]
    for call in calls:
        for folder in refusing_folders(tmp_path):
            done = command(*call, folder)
            assert done.status == 2, (call, folder)
            assert str(folder) in done.sentence
            assert "another" in done.sentence
    for folder in refusing_folders(tmp_path)[1:]:
        for call in (("pack", "--output", folder / "a.zip"), ("check-data", dataset, "-o", folder / "a.png")):
            done = command(*call)
            assert done.status == 2, (call, folder)
            assert str(folder.parent) in done.sentence


# A limit on the size of files acts as a disk that fills up while a file is being written.
FULL_AFTER = (
    "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"
)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.safety("half-written")
def test_a_disk_that_fills_up_during_segmentation(process, run_folder, picture, tmp_path):
    large = np.asarray(Image.open(picture).resize((800, 600)))
    noise = np.random.default_rng(0).integers(0, 60, large.shape).astype(np.uint8)
    (tmp_path / "in").mkdir()
    shutil.copy(picture, tmp_path / "in" / "a.png")
    Image.fromarray(large // 2 + noise).save(tmp_path / "in" / "b.png")
    shutil.copy(picture, tmp_path / "in" / "c.png")
    call = ("predict", tmp_path / "in", "-o", tmp_path / "out", "--weights", run_folder, "--workers", 1)
    done = process(*call, before=FULL_AFTER.format(60_000))
    assert done.status == 1
    assert "b.png" in done.err
    assert "free some space" in done.err
    assert "Traceback" not in done.out + done.err
    # a is whole, b left nothing, c was not begun.
    for kind in ("masks", "labels", "overlays"):
        assert [path.name for path in (tmp_path / "out" / kind).iterdir()] == ["a.png"]
    found = statuses(tmp_path / "out")
    assert found.pop("a.png") != "failed"
    assert found == {"b.png": "failed"}
    assert not leftovers(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_disk_that_fills_up_during_training(process, dataset, tmp_path):
    call = ("train", "--data", dataset, "--output", tmp_path / "run", "--epochs", 2, "--config", *TINY)
    done = process(*call, before=FULL_AFTER.format(30_000))
    assert done.status == 1
    assert "last.pt" in done.err
    assert "free some space" in done.err
    assert "Traceback" not in done.out + done.err
    assert (tmp_path / "run" / "model.pt").is_file()
    assert not (tmp_path / "run" / "last.pt").exists()
    assert not leftovers(tmp_path)


@pytest.mark.safety("half-written")
def test_a_checkpoint_replaces_the_old_one_whole_or_not_at_all(tmp_path, monkeypatch):
    save_checkpoint({"a": torch.ones(2)}, tmp_path / "last.pt")
    before = (tmp_path / "last.pt").read_bytes()

    def full(self, data):
        with self.open("wb") as file:
            file.write(bytes(data)[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LungsegError, match=r"last\.pt"):
        save_checkpoint({"a": torch.zeros(1000)}, tmp_path / "last.pt")
    assert (tmp_path / "last.pt").read_bytes() == before
    assert not leftovers(tmp_path)
