# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict` with processes for workers: the same results, and a clean end whatever ends them."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from lungseg.inference.predict import predict
from lungseg.utils.errors import LungsegError

# From here on the command line takes processes by itself.
MANY = 200


def report(folder: Path) -> list[dict]:
    with (folder / "report.csv").open(newline="", encoding="utf-8") as file:
        return [row | {"seconds": ""} for row in csv.DictReader(file)]


def complete(folder: Path) -> int:
    """Count the radiographs of which all pictures are there, each of them whole."""
    stems = []
    for kind in ("masks", "labels", "overlays"):
        # What begins with a dot was being written by a process when that was killed.
        files = [file for file in (folder / kind).iterdir() if not file.name.startswith(".")]
        stems.append({file.stem for file in files})
        for file in files:
            Image.open(file).load()
    assert stems[0] == stems[1] == stems[2]
    return len(stems[0])


@pytest.fixture
def many(dataset, tmp_path) -> Path:
    """A folder with as many radiographs as processes are worth."""
    source = tmp_path / "many"
    source.mkdir()
    for number, path in enumerate(sorted((dataset / "CXR_png").iterdir())[:4]):
        shutil.copy(path, source / f"{number:04d}.png")
    for number in range(4, MANY):
        os.link(source / f"{number % 4:04d}.png", source / f"{number:04d}.png")
    return source


@pytest.fixture
def begin(many, run_folder, tmp_path):
    """Start the command on the many, in a process group of its own, as a terminal does."""
    begun = []

    def start() -> subprocess.Popen:
        call = [sys.executable, "-m", "lungseg", "predict", many, "-o", tmp_path / "out", "--weights", run_folder]
        begun.append(
            subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        )
        return begun[0]

    yield start
    for process in begun:
        process.kill()
        process.wait()


def wait_for(condition, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_processes_change_no_bit(dataset, run_folder, tmp_path):
    source = Path(shutil.copytree(dataset / "CXR_png", tmp_path / "in"))
    (source / "broken.png").write_bytes(b"\x89PNG")
    expected = predict([source], tmp_path / "threads", run_folder, "cpu", workers=1)
    rows = predict([source], tmp_path / "processes", run_folder, "cpu", workers=2, processes=True)
    assert [row.status for row in rows] == [row.status for row in expected]
    assert report(tmp_path / "processes") == report(tmp_path / "threads")
    for file in (tmp_path / "threads").glob("*/*.png"):
        other = tmp_path / "processes" / file.relative_to(tmp_path / "threads")
        np.testing.assert_array_equal(np.asarray(Image.open(other)), np.asarray(Image.open(file)))

    told: list[str] = []
    predict([source], tmp_path / "processes", run_folder, "cpu", say=told.append, workers=2, processes=True)
    assert told[-1].startswith(f"Done before, with the same weights and options: {len(rows) - 1};")


def test_the_command_takes_processes_for_many_files(begin, tmp_path):
    process = begin()
    out = process.communicate()[0]
    assert process.returncode == 0, out
    assert complete(tmp_path / "out") == MANY
    assert len(report(tmp_path / "out")) == MANY
    assert (tmp_path / "out" / "done.1.jsonl").exists()


@pytest.mark.parametrize("finished", [0, 20])
def test_ctrl_c_leaves_complete_files_and_says_one_thing(begin, tmp_path, finished):
    process = begin()
    wait_for(lambda: len(psutil.Process(process.pid).children(recursive=True)) >= 3)
    if finished:
        wait_for(lambda: len(list((tmp_path / "out").glob("overlays/*.png"))) >= finished)
    os.killpg(process.pid, signal.SIGINT)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 130, out
    assert "Traceback" not in out
    assert out.rstrip().endswith("lungseg: stopped; what was finished is kept.")
    if finished:
        assert finished <= complete(tmp_path / "out") < MANY
        assert len(report(tmp_path / "out")) == complete(tmp_path / "out")


def test_a_killed_command_leaves_no_process(begin, tmp_path):
    process = begin()
    wait_for(lambda: list((tmp_path / "out").glob("overlays/*.png")))
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 3
    process.kill()
    assert not psutil.wait_procs(workers, timeout=30)[1]


def test_a_worker_that_is_killed_is_told_of_and_loses_nothing(dataset, run_folder, tmp_path):
    def kill_a_worker(index: int, total: int, row) -> None:
        if index == 3:
            own = psutil.Process()
            next(process for process in own.children(recursive=True) if process.ppid() != own.pid).kill()

    inputs = [dataset / "CXR_png"]
    total = len(list(inputs[0].iterdir()))
    with pytest.raises(LungsegError, match=r"a worker process was ended.*fewer --workers"):
        predict(inputs, tmp_path, run_folder, "cpu", kill_a_worker, workers=2, processes=True)
    # The one that it was writing when it was killed may have some of its pictures; what was told of has all.
    told = report(tmp_path)
    assert 3 <= len(told) <= total
    for row in told:
        for kind in ("masks", "labels", "overlays"):
            Image.open(tmp_path / kind / f"{row['name']}.png").load()
    assert len(predict(inputs, tmp_path, run_folder, "cpu")) == total
    assert complete(tmp_path) == total
