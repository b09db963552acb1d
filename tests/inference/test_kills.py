# SPDX-License-Identifier: Apache-2.0
"""A file that kills the process: the others are done, and the next run does not die of it again."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest
from errors_support import fails
from output_support import leftovers
from stopping_support import hooked, marks, start

from lungseg.inference import schedule
from lungseg.inference.predict import predict
from lungseg.inference.workers import WorkerKilledError

pytestmark = [pytest.mark.slow, pytest.mark.safety("file-that-kills")]

IN_PROCESSES = """
import sys
from lungseg.inference.predict import predict
if __name__ == "__main__":
    source, output, weights, overwrite = sys.argv[1:]
    predict(source, output, weights, "cpu", workers=2, processes=True, overwrite=overwrite == "overwrite")
"""


@pytest.fixture
def source(dataset, tmp_path) -> Path:
    """Four radiographs; the second one is called poison."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, path in zip(("a", "poison", "y", "z"), sorted((dataset / "CXR_png").iterdir()), strict=False):
        shutil.copy(path, folder / f"{name}.png")
    return folder


def rows(out: Path) -> dict[str, dict]:
    with (out / "report.csv").open(newline="", encoding="utf-8") as file:
        return {row["file"].rpartition("/")[2]: row for row in csv.DictReader(file)}


def done(out: Path) -> list[str]:
    return sorted(path.stem for path in (out / "overlays").iterdir() if not path.name.startswith("."))


@pytest.fixture
def in_threads(source, run_folder, tmp_path):
    def call(environment=None, *options: str) -> tuple[int, str]:
        command = ("-m", "lungseg", "predict", source, "-o", tmp_path / "out", "--weights", run_folder)
        process = start(*command, "--workers", 2, *options, environment=environment)
        text = process.communicate(timeout=300)[0]
        return process.returncode, text

    return call


@pytest.fixture
def in_processes(source, run_folder, tmp_path):
    def call(environment=None, overwrite: str = "") -> tuple[int, str]:
        process = start("-c", IN_PROCESSES, source, tmp_path / "out", run_folder, overwrite, environment=environment)
        text = process.communicate(timeout=300)[0]
        return process.returncode, text

    return call


def test_a_killed_run_does_not_die_of_the_same_file_for_ever(in_threads, source, tmp_path):
    out, hook = tmp_path / "out", tmp_path / "hook"
    poisonous = hooked(hook, "/masks/.poison.", "kill")
    # With two workers, any other file could be under way too when the run is killed.
    assert in_threads(poisonous, "--workers", 1)[0] == -signal.SIGKILL
    assert leftovers(out)

    # Now it is last, and alone.
    status, text = in_threads(poisonous)
    assert status == -signal.SIGKILL, text
    assert done(out) == ["a", "y", "z"]
    assert marks(hook) == 2

    # Now it fails without a try, and the rest is reported.
    status, text = in_threads(poisonous)
    assert (status, marks(hook)) == (1, 2), text
    found = rows(out)
    assert list(found) == ["a.png", "poison.png", "y.png", "z.png"]
    assert [row["status"] == "failed" for row in found.values()] == [False, True, False, False]
    assert "killed twice" in found["poison.png"]["reason"]
    assert "--overwrite" in found["poison.png"]["reason"]
    assert not leftovers(out)
    assert not list(out.glob("under-way.*"))
    assert in_threads(poisonous)[0] == 1

    # With other content, it is a new file.
    shutil.copy(source / "a.png", source / "poison.png")
    status, text = in_threads()
    assert status == 0, text
    assert done(out) == ["a", "poison", "y", "z"]


def test_a_file_that_kills_its_worker_fails_alone(in_processes, tmp_path):
    out, hook = tmp_path / "out", tmp_path / "hook"
    poisonous = hooked(hook, "/masks/.poison.", "kill")
    status, text = in_processes(poisonous)
    assert status == 0, text
    assert marks(hook) == 2
    assert done(out) == ["a", "y", "z"]
    found = rows(out)
    assert list(found) == ["a.png", "poison.png", "y.png", "z.png"]
    assert [row["status"] == "failed" for row in found.values()] == [False, True, False, False]
    assert not list(out.glob("under-way.*"))

    assert in_processes(poisonous)[0] == 0
    assert marks(hook) == 2
    assert not leftovers(out)
    assert "killed twice" in rows(out)["poison.png"]["reason"]

    status, text = in_processes(None, "overwrite")
    assert status == 0, text
    assert done(out) == ["a", "poison", "y", "z"]
    assert all(row["status"] != "failed" for row in rows(out).values())


def test_a_worker_that_is_killed_once_loses_nothing(in_processes, tmp_path):
    out, hook = tmp_path / "out", tmp_path / "hook"
    status, text = in_processes(hooked(hook, "/masks/.poison.", "kill-once"))
    assert status == 0, text
    assert marks(hook) == 1
    assert done(out) == ["a", "poison", "y", "z"]
    assert all(row["status"] != "failed" for row in rows(out).values())
    assert json.loads((out / "report.json").read_text())["count"]["files"] == 4


def test_workers_that_are_killed_before_they_begin_end_the_run(source, run_folder, tmp_path, monkeypatch):
    @contextmanager
    def killed(job, parts, generation):
        raise WorkerKilledError("a worker process was killed", code="worker-killed")
        yield

    monkeypatch.setattr(schedule, "worker_processes", killed)
    with fails("worker-killed"):
        predict(source, tmp_path / "out", run_folder, "cpu", workers=2, processes=True)
