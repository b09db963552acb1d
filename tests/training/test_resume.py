# SPDX-License-Identifier: Apache-2.0
"""A run that is killed and resumed ends with the same weights, bit for bit, as one that was not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from stopping_support import start, wait_for

from lungseg.cli.train import silence_worker
from lungseg.data import write_phantoms
from lungseg.training.checkpoint import RunCheckpoint

pytestmark = pytest.mark.slow

EPOCHS = 5


def command(data: Path, output: Path, *more: str) -> list[str]:
    settings = [
        "network_def#channels=[4,8]",
        "network_def#strides=[2]",
        "image_size=64",
        "batch_size=2",
        "num_workers=2",
        "patience=3",
        "seed=7",
    ]
    start = ["--data", str(data), "--epochs", str(EPOCHS), "--config", *settings]
    return [sys.executable, "-m", "lungseg", "train", "--output", str(output), *(more or start)]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def finished_epochs(output: Path) -> int:
    try:
        return json.loads((output / "history.json").read_text())[-1]["epoch"]
    except FileNotFoundError:
        return 0


# Runs a command that stands still after a step of an epoch, and says so by a file; its data workers go on.
_HELD = """if True:
    import sys, time
    from pathlib import Path
    from ignite.engine import Events
    from lungseg.cli.main import main
    from lungseg.training.seeding import EpochSeeder

    attach = EpochSeeder.attach

    def attached(self, engine):
        attach(self, engine)
        engine.add_event_handler(Events.ITERATION_COMPLETED, hold)

    def hold(engine):
        if engine.state.epoch == int(sys.argv[2]):
            Path(sys.argv[1]).touch()
            time.sleep(600)

    EpochSeeder.attach = attached
    sys.exit(main(sys.argv[3:]))
"""


def stop_within_epoch(data: Path, output: Path, after: int, how: signal.Signals) -> tuple[int, str]:
    """Start a run and send it `how` when `after` epochs are done and the next has begun; return its status and text."""
    mark = output.with_name("held")
    process = start("-c", _HELD, mark, after + 1, *command(data, output)[3:], environment=environment())
    wait_for(lambda: mark.exists() or process.poll() is not None)
    process.send_signal(how)
    text = process.communicate(timeout=600)[0]
    assert mark.exists(), text
    assert finished_epochs(output) == after
    return process.returncode, text


def state(output: Path) -> dict:
    return torch.load(output / "last.pt", weights_only=True)


def same(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("data"), 48, seed=5, size=(80, 96))


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("whole") / "run"
    subprocess.run(command(data, output), env=environment(), check=True, capture_output=True)
    return output


@pytest.mark.safety("killed-train")
def test_a_killed_run_ends_with_the_same_weights(data, uninterrupted, tmp_path):
    output = tmp_path / "run"
    assert stop_within_epoch(data, output, 2, signal.SIGKILL)[0] == -signal.SIGKILL
    subprocess.run(command(data, output, "--resume"), env=environment(), check=True, capture_output=True)
    assert same(state(output), state(uninterrupted))
    best, expected = (torch.load(run / "model.pt", weights_only=True) for run in (output, uninterrupted))
    assert same(best, expected)
    record, reference = (json.loads((run / "run.json").read_text()) for run in (output, uninterrupted))
    assert record["best"] == reference["best"]
    assert record["data"] == reference["data"]
    # The initial weights are measured once.
    assert [entry["epoch"] for entry in state(output)["history"]] == list(range(EPOCHS + 1))


def test_a_run_stopped_in_its_first_epoch_begins_again(data, uninterrupted, tmp_path):
    shutil.copy(uninterrupted / "config.json", tmp_path)
    subprocess.run(command(data, tmp_path, "--resume"), env=environment(), check=True, capture_output=True)
    assert same(state(tmp_path), state(uninterrupted))


def scaler(scale: float, enabled: bool = True) -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", init_scale=scale, enabled=enabled)


@pytest.mark.parametrize(
    ("before", "after", "scale"),
    [
        (scaler(1024.0), scaler(65536.0), 1024.0),
        (None, scaler(65536.0), 65536.0),
        (scaler(1024.0, enabled=False), scaler(65536.0), 65536.0),
        (scaler(1024.0), None, None),
    ],
)
def test_the_scaler_of_mixed_precision_is_resumed(tmp_path, before, after, scale):
    network = torch.nn.Linear(1, 1)
    engines = []
    for own in (before, after):
        engines.append(Engine(lambda engine, batch: [{"loss": 0.5}]))
        engines[-1].scaler = own
        RunCheckpoint(tmp_path, {"network": network}, network, resume=len(engines) == 2).attach(engines[-1])
        engines[-1].run([0], max_epochs=len(engines))
    assert engines[1].state.epoch == 2
    assert (after and after.get_scale()) == scale


@pytest.mark.parametrize(
    ("error", "in_worker", "reported"),
    [
        (ConnectionResetError(), True, False),
        (EOFError(), True, False),
        (EOFError(), False, True),
        (OSError(), True, True),
    ],
)
def test_a_worker_that_is_left_alone_says_nothing(error, in_worker, reported, capsys, monkeypatch):
    monkeypatch.setattr("multiprocessing.parent_process", lambda: object() if in_worker else None)
    silence_worker(type(error), error, None)
    assert bool(capsys.readouterr().err) == reported


def test_ctrl_c_says_how_to_go_on(data, tmp_path):
    status, out = stop_within_epoch(data, tmp_path / "run", 1, signal.SIGINT)
    # MONAI runs the trainer in eval(); Python then ends by the signal itself, which a shell reports as 130.
    assert status in (130, -signal.SIGINT), out
    assert "lungseg train --resume --output" in out
    assert "Traceback" not in out
    assert state(tmp_path / "run")["epoch"] >= 1


def test_ctrl_c_counts_even_where_python_ignores_it(data, tmp_path):
    """What a callback raises while a data worker is forked, KeyboardInterrupt too, Python reports and forgets."""
    program = f"""if True:
        import itertools, os, sys
        from lungseg.cli.main import main

        forks = itertools.count()

        def interrupted_at_the_second_fork():
            if next(forks) == 1:
                raise KeyboardInterrupt

        os.register_at_fork(after_in_parent=interrupted_at_the_second_fork)
        sys.argv = {command(data, tmp_path)[2:]!r}
        sys.exit(main())
    """
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)
    assert done.returncode in (130, -signal.SIGINT), done.stderr
    assert "lungseg train --resume --output" in done.stderr
    assert "Traceback" not in done.stderr


def test_resuming_a_finished_run_changes_nothing(data, uninterrupted):
    before = (uninterrupted / "model.pt").read_bytes()
    subprocess.run(command(data, uninterrupted, "--resume"), env=environment(), check=True, capture_output=True)
    assert (uninterrupted / "model.pt").read_bytes() == before
    assert finished_epochs(uninterrupted) == state(uninterrupted)["epoch"]
