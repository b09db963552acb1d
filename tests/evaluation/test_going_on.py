# SPDX-License-Identifier: Apache-2.0
"""An evaluation that was stopped goes on: finished cases are kept, and stale ones are measured again."""

from __future__ import annotations

import json
import os
import shutil
import signal

import numpy as np
import pytest
from command_support import restored_process
from PIL import Image
from stopping_support import hooked, marks, start, wait_for

from lungseg.evaluation.records import labels_file, read_cases

TABLES = ("cases.jsonl", "cases.csv", "summary.json", "index.html")


@pytest.fixture(scope="module")
def measured(dataset, run_folder, tmp_path_factory):
    """A finished evaluation of all twelve phantoms with the tiny network."""
    from lungseg.evaluation.evaluate import evaluate

    folder = tmp_path_factory.mktemp("evaluations") / "measured"
    with restored_process():
        evaluate(folder, "all", run_folder, {"dataset_dir": str(dataset)})
    return folder


@pytest.fixture
def own_data(dataset, tmp_path):
    """A copy of the phantoms, whose files may change; the folder has the same name."""
    return shutil.copytree(dataset, tmp_path / "copy" / dataset.name)


@pytest.fixture
def call(own_data, run_folder, tmp_path):
    """The words of a command that measures all cases with the tiny network."""
    return ["evaluate", "--data", own_data, "--weights", run_folder, "--split", "all", "-o", tmp_path / "out"]


@pytest.fixture
def again(call, measured, tmp_path):
    """The same words, where the evaluation was finished before."""
    shutil.copytree(measured, tmp_path / "out")
    return call


def kept(done) -> int:
    """Return the number of cases that a command says it kept."""
    assert done.status == 0, done.err
    lines = [line for line in done.out.splitlines() if line.endswith("cases are finished and kept")]
    return int(lines[0].split()[0]) if lines else 0


@pytest.mark.slow
@pytest.mark.parametrize("event", ["os.rename", "open"])
def test_a_killed_evaluation_goes_on_to_the_same_result(command, call, tmp_path, event):
    # The process is killed when the sixth case's label map gets its name, or when its line is to be written.
    hook, name = tmp_path / "hook", {"os.rename": "labels/.phantom_0006", "open": "cases.jsonl"}[event]
    before = start("-m", "lungseg", *call, environment=hooked(hook, name, "kill-once", event))
    text = before.communicate(timeout=600)[0]
    assert before.returncode == -signal.SIGKILL, text
    finished = read_cases(tmp_path / "out")
    assert len(finished) == {"os.rename": 5, "open": 0}[event]
    assert kept(command(*call)) == len(finished)
    assert kept(command(*call[:-1], tmp_path / "whole")) == 0
    for name in TABLES:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list((tmp_path / "out").rglob(".*"))


@pytest.mark.slow
def test_ctrl_c_says_how_it_goes_on(call, tmp_path):
    hook = tmp_path / "hook"
    process = start("-m", "lungseg", *call, environment=hooked(hook, "labels/.phantom_0006", "wait"))
    wait_for(lambda: marks(hook) or process.poll() is not None)
    assert process.poll() is None, process.communicate()[0]
    os.kill(process.pid, signal.SIGINT)
    text = process.communicate(timeout=600)[0]
    assert process.returncode in (130, -signal.SIGINT), text
    assert "Traceback" not in text
    assert "lungseg: stopped; finished cases are kept; continue with the same command." in text
    assert len(read_cases(tmp_path / "out")) == 5


def test_everything_finished_is_reported_again(command, again, tmp_path):
    command(*again)
    tables = {name: (tmp_path / "out" / name).read_bytes() for name in TABLES}
    for name in TABLES[1:]:
        (tmp_path / "out" / name).unlink()
    assert kept(command(*again)) == 12
    assert tables == {name: (tmp_path / "out" / name).read_bytes() for name in TABLES}


def facts(folder):
    """Return name -> everything that is recorded about a case but the place of its file."""
    return {name: vars(case) | {"row": case.row | {"file": ""}} for name, case in read_cases(folder).items()}


def _move(file):
    Image.fromarray(np.roll(np.asarray(Image.open(file)), 1, axis=0)).save(file)


STALE = {
    "image": lambda data, out: _move(data / "CXR_png" / "phantom_0003.png"),
    "mask": lambda data, out: _move(data / "masks" / "phantom_0003.png"),
    "label map": lambda data, out: _move(labels_file(out, "phantom_0003")),
    "no label map": lambda data, out: labels_file(out, "phantom_0003").unlink(),
    "no picture": lambda data, out: (out / "pictures" / "phantom_0003.jpg").unlink(),
}


@pytest.mark.parametrize("changed", STALE)
def test_a_case_whose_files_changed_is_measured_again(command, again, own_data, tmp_path, changed):
    before = facts(tmp_path / "out")
    STALE[changed](own_data, tmp_path / "out")
    done = command(*again)
    assert kept(done) == 11
    assert "1 finished case is measured again" in done.out
    after = facts(tmp_path / "out")
    same = {name for name in after if after[name] == before[name]}
    assert len(after) == 12
    assert before.keys() - same == ({"phantom_0003"} if changed in ("image", "mask") else set())


@pytest.mark.parametrize(
    "more",
    [
        ("--config", "threshold=0.3"),
        ("--config", "validate#inferer#overlap=0.25"),
        ("--config", "clahe=true"),
        ("--weights", "other"),
        ("version",),
    ],
    ids=" ".join,
)
def test_other_settings_keep_no_case(command, again, run_folder, tmp_path, monkeypatch, more):
    if more == ("version",):
        monkeypatch.setattr("lungseg.evaluation.handler.__version__", "0.0")
        more = ()
    elif more[1] == "other":
        import torch

        other = shutil.copytree(run_folder, tmp_path / "other")
        weights = torch.load(other / "model.pt", weights_only=True)
        next(iter(weights.values()))[:] += 0.01
        torch.save(weights, other / "model.pt")
        more = (more[0], other)
    done = command(*again, *more)
    assert kept(done) == 0
    assert "12 finished cases are measured again" in done.out


def test_a_moved_data_set_keeps_its_cases(command, again, own_data, tmp_path):
    moved = own_data.rename(tmp_path / "moved")
    again[2] = moved
    assert kept(command(*again)) == 12
    assert {case.row["file"] for case in read_cases(tmp_path / "out").values()} == {
        str(moved / "CXR_png" / f"phantom_{number:04d}.png") for number in range(1, 13)
    }


def test_another_list_leaves_its_own_cases_alone(command, again, tmp_path):
    (tmp_path / "out" / "pictures" / "mine.jpg").touch()
    again[6] = "test"
    assert kept(command(*again)) == 2
    names = set(read_cases(tmp_path / "out"))
    assert len(names) == 2
    for folder, ending, others in (("labels", ".png", set()), ("pictures", ".jpg", {"mine.jpg"})):
        files = {path.name for path in (tmp_path / "out" / folder).iterdir()}
        assert files == {f"{name}{ending}" for name in names} | others


def test_a_line_that_was_cut_off_is_not_believed(command, again, measured, tmp_path):
    path = tmp_path / "out" / "cases.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = json.loads(lines[0]) | {"row": None}
    path.write_bytes(json.dumps(damaged).encode() + b"\n" + b"".join(lines[1:-1]) + lines[-1][:-40])
    before = facts(measured)
    assert kept(command(*again)) == 10
    assert facts(tmp_path / "out") == before


def test_two_evaluations_do_not_share_a_folder(command, call, tmp_path):
    from lungseg.utils.files import only_user

    (tmp_path / "out").mkdir()
    with only_user(tmp_path / "out" / "cases.lock"):
        done = command(*call)
    assert done.status == 2
    assert f"{tmp_path / 'out'}: " in done.sentence


def test_progress_is_reported(own_data, run_folder, measured, tmp_path):
    from lungseg.evaluation.evaluate import evaluate

    _move(own_data / "CXR_png" / "phantom_0003.png")
    _move(own_data / "CXR_png" / "phantom_0008.png")
    out, calls = shutil.copytree(measured, tmp_path / "out"), []
    with restored_process():
        evaluate(out, "all", run_folder, {"dataset_dir": str(own_data)}, on_case=lambda *of: calls.append(of))
    assert calls == [(1, 2), (2, 2)]


@pytest.mark.parametrize(("device", "status"), [("cpu", 0), ("mps", 2), ("cuda:77", 2)])
def test_the_device_can_be_chosen(command, call, tmp_path, device, status):
    call[6] = "validation"
    done = command(*call, "--device", device)
    assert done.status == status
    assert (tmp_path / "out" / "cases.csv").exists() == (status == 0)
    if status:
        assert "cpu" in done.sentence
