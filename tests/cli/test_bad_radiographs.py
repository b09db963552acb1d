# SPDX-License-Identifier: Apache-2.0
"""Radiographs that cannot be segmented: each is named, and the others are segmented."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from output_support import leftovers, statuses
from stopping_support import watched_stop

from lungseg.inference.outputs import Outputs
from lungseg.utils.errors import as_lungseg_error


def test_bad_radiographs_are_named_and_the_others_are_done(command, run_folder, picture, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("a.png", "z.png"):
        shutil.copy(picture, source / name)
    (source / "cut.png").write_bytes(picture.read_bytes()[:900])
    (source / "empty.png").touch()
    (source / "text.png").write_text("patient was not cooperative\n" * 20)
    (source / "noise.dcm").write_bytes(bytes(128) + b"DICM" + np.random.default_rng(0).bytes(500))
    done = command("predict", source, tmp_path / "gone.png", "-o", out, "--weights", run_folder)
    assert done.status == 1
    names = ("cut.png", "empty.png", "text.png", "noise.dcm", "gone.png")
    assert len(done.failures) == len(names)
    for name in names:
        (line,) = (line for line in done.failures if f"{name}: " in line)
        assert "; " in line.split(name)[1], f"no remedy: {line}"
    found = statuses(out)
    assert [name for name, status in found.items() if status == "failed"] == [*sorted(names[:-1]), "gone.png"]
    assert sorted(path.name for path in (out / "masks").iterdir()) == ["a.png", "z.png"]
    assert not leftovers(out)


def test_a_name_that_is_not_text_is_still_reported(command, run_folder, picture, tmp_path):
    shutil.copy(picture, os.fsencode(tmp_path) + b"/caf\xe9.png")
    assert command("predict", tmp_path, "-o", tmp_path / "out", "--weights", run_folder).status == 0
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 1
    assert "caf\\udce9.png" in (tmp_path / "out" / "report.csv").read_text(encoding="utf-8")


@pytest.mark.safety("bad-file-alone")
def test_an_unforeseen_error_stops_one_file_only(command, run_folder, dataset, tmp_path, monkeypatch):
    write, bad = Outputs.write, "phantom_0002"

    def broken(self, stem, contents):
        if str(stem) == bad:
            raise ValueError("no ink\nand more lines")
        write(self, stem, contents)

    monkeypatch.setattr(Outputs, "write", broken)
    done = command("predict", dataset / "CXR_png", "-o", tmp_path, "--weights", run_folder)
    assert done.status == 1
    (failure,) = done.failures
    assert f"{bad}.png: " in failure
    assert "(ValueError: no ink)" in failure
    assert [name for name, status in statuses(tmp_path).items() if status == "failed"] == [f"{bad}.png"]
    assert len(list((tmp_path / "masks").iterdir())) == 11


def test_an_unforeseen_error_names_its_cause():
    error = RuntimeError("applying transform <monai.Crop object at 0x7f85>")
    error.__cause__ = OverflowError("100000 is too much")
    assert "it failed (OverflowError: 100000 is too much); " in str(as_lungseg_error(error, "it failed"))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.safety("stopped-run")
def test_a_stopped_segmentation_keeps_what_was_finished(command, run_folder, dataset, tmp_path, monkeypatch, workers):
    write = Path.write_bytes
    stop = watched_stop(monkeypatch)

    def stopped(self, data):
        # After the mask, before the label map: Ctrl-C in the middle of a radiograph. The later ones are still being
        # written when the threads are stopped.
        if self.match("labels/.phantom_0003.*"):
            raise KeyboardInterrupt
        if self.match(".phantom_*") and not self.match(".phantom_000[123].*"):
            assert stop.wait(60)
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", stopped)
    done = command("predict", dataset / "CXR_png", "-o", tmp_path, "--weights", run_folder, "--workers", workers)
    assert done.status == 130
    assert "lungseg: stopped; " in done.err
    finished = list(statuses(tmp_path))
    assert finished[:2] == ["phantom_0001.png", "phantom_0002.png"]
    # What each of the others had begun is brought to its end; the rest is not begun.
    assert 2 <= len(finished) <= 2 + (workers - 1)
    assert "phantom_0003.png" not in finished
    for kind in ("masks", "labels", "overlays"):
        assert sorted(path.name for path in (tmp_path / kind).iterdir()) == finished
    assert not leftovers(tmp_path)


def test_a_name_too_long_for_its_results_fails_alone(command, run_folder, picture, tmp_path):
    (tmp_path / "in").mkdir()
    long = "9" * 255
    for name in ("a.png", long):
        shutil.copy(picture, tmp_path / "in" / name)
    done = command("predict", tmp_path / "in", "-o", tmp_path / "out", "--weights", run_folder)
    assert done.status == 1
    (failure,) = done.failures
    assert failure.startswith(f"lungseg: failed: {tmp_path / 'in' / long}: {tmp_path / 'out'}")
    assert sorted(statuses(tmp_path / "out").values())[0] == "failed"
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["a.png"]
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("nameless", ["input", "output"])
def test_an_empty_name_is_not_the_working_directory(command, run_folder, picture, tmp_path, monkeypatch, nameless):
    (tmp_path / "here").mkdir()
    shutil.copy(picture, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    source, out = ("", tmp_path / "out") if nameless == "input" else (picture, "")
    done = command("predict", source, "-o", out, "--weights", run_folder)
    assert done.status == 2
    assert "empty name" in done.sentence
    assert [path.name for path in (tmp_path / "here").iterdir()] == [picture.name]
    assert not (tmp_path / "out").exists()


def test_paths_longer_than_the_system_allows(command, run_folder, picture, tmp_path):
    long = tmp_path / ("p" * 300)
    done = command("predict", long, picture, "-o", tmp_path / "out", "--weights", run_folder)
    assert done.status == 1
    (failure,) = done.failures
    assert f"{long}: " in failure
    assert sorted(statuses(tmp_path / "out").values())[0] == "failed"
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == [picture.name]
    for out, weights in ((long, run_folder), (tmp_path / "other", long)):
        done = command("predict", picture, "-o", out, "--weights", weights)
        assert done.status == 2
        assert f"{long}: " in done.sentence
    assert not (tmp_path / "other").exists()


def test_a_folder_without_pictures(command, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("nothing here")
    done = command("predict", tmp_path / "in", "-o", tmp_path / "out")
    assert done.status == 2
    assert str(tmp_path / "in") in done.sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("device", ["cuda", "tpu9", "mps"])
def test_a_device_that_is_not_there(command, run_folder, picture, tmp_path, device):
    done = command("predict", picture, "-o", tmp_path / "out", "--weights", run_folder, "--device", device)
    assert done.status == 2
    assert device in done.sentence.lower()
