# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict` with processes for workers: the same results, and a clean end whatever ends them."""

from __future__ import annotations

import csv
import json
import logging
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from stopping_support import hooked, let_go, start, wait_for

from lungseg.inference import schedule
from lungseg.inference.kinds import DEFAULT_KINDS
from lungseg.inference.outputs import Outputs
from lungseg.inference.predict import predict

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
    """Start the command on the many; one of them stands still, and so the run ends only when the hook lets it go."""
    begun = []

    def call():
        command = ("-m", "lungseg", "predict", many, "-o", tmp_path / "out", "--weights", run_folder)
        begun.append(start(*command, environment=hooked(tmp_path / "hook", "/overlays/.0030.", "wait")))
        return begun[0]

    yield call
    for process in begun:
        process.kill()
        process.wait()


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

    before = sorted((tmp_path / "processes" / "masks").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    predict([source], tmp_path / "processes", run_folder, "cpu", workers=2, processes=True)
    assert sorted(before, key=lambda file: file.stat().st_mtime_ns) == before
    assert report(tmp_path / "processes") == report(tmp_path / "threads")


def test_what_workers_log_is_logged_by_the_process_that_started_them(dataset, run_folder, tmp_path, caplog):
    with caplog.at_level(logging.DEBUG, "lungseg"):
        predict([dataset / "CXR_png"], tmp_path, run_folder, "cpu", workers=2, processes=True)
    lines = [record.getMessage() for record in caplog.records if record.process != os.getpid()]
    for name in sorted(path.name for path in (dataset / "CXR_png").iterdir()):
        assert len([line for line in lines if name in line]) == 1


def test_results_that_are_there_are_not_worth_processes(dataset, run_folder, tmp_path, monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("processes")

    expected = predict([dataset / "CXR_png"], tmp_path, run_folder, "cpu")
    monkeypatch.setattr(schedule, "worker_processes", refuse)
    monkeypatch.setattr(sys.modules["lungseg.inference.predict"], "core_count", lambda: 2)
    monkeypatch.setattr(sys.modules["lungseg.inference.predict"], "_WORTH_PROCESSES", 2)
    assert predict([dataset / "CXR_png"], tmp_path, run_folder, "cpu", processes=None) == expected
    for changed in ({"overwrite": True}, {"ctr": "never"}):
        with pytest.raises(RuntimeError, match="processes"):
            predict([dataset / "CXR_png"], tmp_path, run_folder, "cpu", processes=None, **changed)


@pytest.mark.slow
def test_the_command_takes_processes_for_many_files(begin, tmp_path):
    process = begin()
    let_go(tmp_path / "hook")
    out = process.communicate()[0]
    assert process.returncode == 0, out
    assert complete(tmp_path / "out") == MANY
    assert len(report(tmp_path / "out")) == MANY
    assert (tmp_path / "out" / "records.1.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize("finished", [0, 20])
@pytest.mark.safety("stopped-run")
def test_ctrl_c_leaves_complete_files_and_says_one_thing(begin, tmp_path, finished):
    process = begin()
    wait_for(lambda: len(psutil.Process(process.pid).children(recursive=True)) >= 3)
    if finished:
        wait_for(lambda: len(list((tmp_path / "out").glob("overlays/*.png"))) >= finished)
    os.killpg(process.pid, signal.SIGINT)
    let_go(tmp_path / "hook")
    out = process.communicate(timeout=300)[0]
    assert process.returncode == 130, out
    assert "Traceback" not in out
    assert out.rstrip().splitlines()[-1].startswith("lungseg: stopped; ")
    if finished:
        assert finished <= complete(tmp_path / "out") < MANY
        assert len(report(tmp_path / "out")) == complete(tmp_path / "out")


def recorded(folder: Path) -> list[dict]:
    """The results in the record, as far as its lines are whole."""
    lines = [line for file in folder.glob("records*.jsonl") for line in file.read_bytes().splitlines(keepends=True)]
    events = [json.loads(line) for line in lines if line.endswith(b"\n")]
    return [event for event in events if event["event"] == "result"]


@pytest.mark.slow
@pytest.mark.safety("killed-run")
def test_a_killed_command_leaves_no_process_and_the_next_one_goes_on(begin, many, run_folder, tmp_path):
    out = tmp_path / "out"
    process = begin()
    wait_for(lambda: len(list(out.glob("overlays/*.png"))) >= 20)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 3
    process.kill()
    assert not psutil.wait_procs(workers, timeout=300)[1]
    process.wait()

    # The record is all there is, and everything in it is there.
    assert not list(out.glob("report.*"))
    done = recorded(out)
    assert 0 < len(done) < MANY
    before = {}
    for line in done:
        assert sorted(line["files"]) == sorted(DEFAULT_KINDS)
        for file in Outputs(out).targets(Path(line["name"])).values():
            Image.open(file).load()
            before[file] = file.stat().st_mtime_ns
    with next(out.glob("records*.jsonl")).open("ab") as file:
        file.write(b'{"event": "result", "name": "')

    rows = predict([many], out, run_folder, "cpu", workers=2)
    assert {row.status for row in rows} <= {"ok", "flagged"}
    assert len(report(out)) == complete(out) == MANY
    assert (out / "report.json").is_file()
    assert (out / "report.html").is_file()
    assert {file: file.stat().st_mtime_ns for file in before} == before
