# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM: the report is written, nothing is left behind, and a second one ends the command at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from command_support import TINY
from output_support import leftovers, statuses
from stopping_support import hooked, let_go, marks, start, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.safety("stopped-command")]

# From here on the command line takes processes by itself.
MANY = 200
# Seconds for what takes a moment on an idle machine.
PATIENCE = 300


@pytest.fixture
def source(dataset, tmp_path) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    for number, path in enumerate(sorted((dataset / "CXR_png").iterdir())[:4]):
        shutil.copy(path, folder / f"{number:04d}.png")
    for number in range(4, MANY):
        os.link(folder / f"{number % 4:04d}.png", folder / f"{number:04d}.png")
    return folder


@pytest.fixture
def begin(source, run_folder, tmp_path):
    """Start `lungseg predict` in threads or in processes; its eleventh picture stands still, and so the run ends by
    itself only when the hook lets it go."""
    begun = []

    def call(processes: bool):
        if not processes:
            for path in sorted(source.iterdir())[MANY // 2 :]:
                path.unlink()
        command = ("-m", "lungseg", "predict", source, "-o", tmp_path / "out", "--weights", run_folder, "--workers", 2)
        begun.append(start(*command, environment=hooked(tmp_path / "hook", "/overlays/.0010.", "wait")))
        return begun[-1]

    yield call
    for process in begun:
        process.kill()
        process.wait()


def overlays(out: Path) -> int:
    return len(list(out.glob("overlays/0*.png")))


@pytest.mark.parametrize("processes", [False, True], ids=["threads", "processes"])
@pytest.mark.parametrize("group", [False, True], ids=["main", "group"])
def test_sigterm_is_ctrl_c(begin, tmp_path, processes, group):
    """systemd sends it to all processes of a service, Docker to the first one."""
    out = tmp_path / "out"
    process = begin(processes)
    wait_for(lambda: overlays(out) >= 5)
    children = psutil.Process(process.pid).children(recursive=True)
    (os.killpg if group else os.kill)(process.pid, signal.SIGTERM)
    let_go(tmp_path / "hook")
    text = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 143, text
    assert "Traceback" not in text
    assert "resource_tracker" not in text
    assert "lungseg: stopped; " in text
    assert json.loads((out / "report.json").read_text())["stopped"] == "interrupted"
    assert (out / "report.html").is_file()
    # One that was just written may not have been reported.
    assert 0 < len(statuses(out)) <= overlays(out) < MANY
    assert not leftovers(out)
    assert not list(out.glob("under-way.*"))
    assert not psutil.wait_procs(children, timeout=PATIENCE)[1]
    assert "killed" not in "".join(file.read_text() for file in out.glob("records*.jsonl"))


def interrupt_until_it_ends(process: subprocess.Popen[str]) -> str:
    """Send Ctrl-C to all processes, twice at once, until the command ends, and return what it said."""
    for _ in range(30):
        for _ in range(2):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=10)[0]
    raise AssertionError("the command does not end")


@pytest.mark.parametrize("processes", [False, True], ids=["threads", "processes"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_ctrl_c_does_not_wait(begin, tmp_path, processes, number):
    out = tmp_path / "out"
    process = begin(processes)
    # The picture that is not let go takes ten minutes.
    wait_for(lambda: marks(tmp_path / "hook"))
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, number)
    # It waits for that picture alone.
    stopping = psutil.Process(process.pid)
    wait_for(lambda: stopping.cpu_percent(interval=0.5) < 5)
    assert process.poll() is None
    # On a busy machine the first signal may not have been noticed yet.
    text = interrupt_until_it_ends(process)
    assert process.returncode in (128 + number, 130), text
    assert "Traceback" not in text
    assert "resource_tracker" not in text
    assert json.loads((out / "report.json").read_text())["stopped"] == "interrupted"
    assert (out / "report.html").is_file()
    assert not leftovers(out)
    assert not list(out.glob("under-way.*"))
    assert not psutil.wait_procs(children, timeout=PATIENCE)[1]


_TWICE = """
import signal
from lungseg.cli import stopping

now = 100.0
stopping.time.monotonic = lambda: now
stopping.stop_as_ctrl_c()
raised = []
for moment, name in ((0, "SIGINT"), (0.1, "SIGINT"), (0.15, "SIGTERM"), (1, "SIGINT"), (1.1, "SIGINT"), (2, "SIGTERM")):
    now = 100 + moment
    try:
        signal.raise_signal(getattr(signal, name))
    except KeyboardInterrupt:
        raised.append(moment)
print(raised, stopping.stopped_status())
"""


def test_a_signal_does_not_interrupt_what_another_one_has_just_begun():
    done = subprocess.run([sys.executable, "-c", _TWICE], capture_output=True, text=True, check=True)
    assert done.stdout == "[0, 1, 2] 143\n"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("evaluate", signal.SIGTERM),
        ("check-data", signal.SIGTERM),
        ("check-data", signal.SIGINT),
        ("check-data", signal.SIGHUP),
    ],
)
def test_other_commands_end_in_order(dataset, run_folder, tmp_path, name, number):
    hook = tmp_path / "hook"
    # They read in threads in part, which end what they have begun.
    environment = hooked(hook, "phantom_0003", "wait", "open")
    options = {
        "check-data": (dataset, "-o", tmp_path / "sheet.png"),
        "evaluate": ("--data", dataset, "--weights", run_folder, "--split", "all", "-o", tmp_path / "out"),
    }
    process = start("-m", "lungseg", name, *options[name], environment=environment)
    wait_for(lambda: marks(hook))
    os.kill(process.pid, number)
    let_go(hook)
    text = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 128 + number, text
    assert "Traceback" not in text
    assert "lungseg: stopped; " in text


def test_a_training_ends_in_order(dataset, tmp_path):
    """MONAI runs it inside `eval`, where Python takes a plain Ctrl-C for the end of the process."""
    history = tmp_path / "out" / "history.json"
    process = start(
        "-m", "lungseg", "train", "--data", dataset, "-o", tmp_path / "out", "--epochs", 500, "--config", *TINY
    )
    wait_for(history.is_file)
    os.kill(process.pid, signal.SIGTERM)
    text = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 143, text
    assert "Traceback" not in text
    assert "lungseg train --resume" in text
