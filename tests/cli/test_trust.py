# SPDX-License-Identifier: Apache-2.0
"""A run of a stranger: no command runs the code in its config, unless the user trusts it."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest
from foreign_code import ANYWHERE, IN_WHOLE_CONFIGS, spoil

import lungseg
from lungseg.utils.errors import LungsegError

pytestmark = pytest.mark.safety("foreign-config")


@pytest.fixture
def run(run_folder, tmp_path) -> Path:
    """A copy of a finished run, to spoil."""
    return Path(shutil.copytree(run_folder, tmp_path / "run"))


@pytest.fixture
def doors(command, dataset, picture, run, tmp_path):
    """The commands that read a run, by name."""
    out = ("-o", tmp_path / "out")
    weights = ("--weights", run)
    arguments = {
        "predict": ("predict", picture, *out, *weights),
        "evaluate": ("evaluate", "--data", dataset, *out, *weights),
        "export": ("export", *out, "--format", "torchscript", "--check", picture, *weights),
        "resume": ("train", "--resume", "-o", run),
    }
    return lambda name, *more: command(*arguments[name], *more)


def refused(done, run: Path) -> None:
    assert done.status == 1
    assert done.sentence.startswith(f"lungseg: {run / 'config.json'}: ")
    assert "--trust" in done.sentence


@pytest.mark.parametrize("name", ANYWHERE)
@pytest.mark.parametrize("door", ["predict", "evaluate", "export"])
def test_weights_of_a_run_run_no_code(doors, run, tmp_path, door, name):
    spoil(run / "config.json", ANYWHERE[name], tmp_path / "made")
    refused(doors(door), run)
    assert not (tmp_path / "made").exists()
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("name", ANYWHERE | IN_WHOLE_CONFIGS)
def test_a_resumed_run_runs_no_code(doors, run, tmp_path, name):
    spoil(run / "config.json", (ANYWHERE | IN_WHOLE_CONFIGS)[name], tmp_path / "made")
    before = {file.name: file.read_bytes() for file in run.iterdir() if file.is_file()}
    refused(doors("resume"), run)
    assert not (tmp_path / "made").exists()
    assert before == {file.name: file.read_bytes() for file in run.iterdir() if file.is_file()}


def test_the_rule_of_the_patients_runs_no_code(doors, run, tmp_path):
    """`evaluate` takes it from the run, too."""
    rule = f"$open({str(tmp_path / 'made')!r}, 'w')"
    spoil(run / "config.json", lambda config, _: config["data_source"].update(patients=rule), tmp_path)
    refused(doors("evaluate"), run)
    assert not (tmp_path / "made").exists()


def test_training_from_the_weights_of_a_run_runs_no_code(begin, dataset, run, tmp_path):
    """It takes nothing from the run's config."""
    for change in (ANYWHERE["expression"], ANYWHERE["target"], IN_WHOLE_CONFIGS["import"]):
        spoil(run / "config.json", change, tmp_path / "made")
    (tmp_path / "run").rename(tmp_path / "foreign")
    assert begin(dataset, "--init", tmp_path / "foreign").status == 0
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("door", ["predict", "evaluate", "export", "resume"])
def test_code_runs_where_it_is_trusted(doors, run, tmp_path, door):
    made = tmp_path / "made"
    # A run goes on with its own settings, except where and how fast it computes.
    item, plain = ("num_workers", 0) if door == "resume" else ("threshold", 0.45)
    value = f"$(open({str(made)!r}, 'w'), {plain})[1]"
    spoil(run / "config.json", lambda config, _: config.update({item: value}), made)
    refused(doors(door), run)
    assert not made.exists()
    assert doors(door, "--trust").status == 0
    assert made.exists()


def test_an_expression_in_the_number_of_epochs(doors, run, tmp_path):
    made = tmp_path / "made"
    value = f"$(open({str(made)!r}, 'w'), 2)[1]"
    spoil(run / "config.json", lambda config, _: config.update(epochs=value), made)
    refused(doors("resume"), run)
    assert not made.exists()
    assert doors("resume", "--trust").status == 0
    assert made.exists()


def test_an_untouched_run_needs_no_trust(doors):
    for door in ("predict", "evaluate", "export", "resume"):
        assert doors(door).status == 0


def test_in_python(run, tmp_path):
    spoil(run / "config.json", ANYWHERE["expression"], tmp_path / "made")
    with pytest.raises(LungsegError) as error:
        lungseg.load(run)
    assert error.value.code == "config-runs-code"
    assert not (tmp_path / "made").exists()
    value = f"$(open({str(tmp_path / 'made')!r}, 'w'), 0.45)[1]"
    spoil(run / "config.json", lambda config, _: config.update(threshold=value), tmp_path)
    lungseg.load(run, trust=True)
    assert (tmp_path / "made").exists()


def test_annotation_does_not_start_with_code(command, dataset, run, tmp_path):
    spoil(run / "config.json", ANYWHERE["expression"], tmp_path / "made")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        start = ("label", "start", "--studies", dataset / "CXR_png", "--weights", run, "--port", port)
        refused(command(*start), run)
        assert not (tmp_path / "made").exists()
        # The next check, which fails here before the server is built or started.
        assert command(*start, "--trust").sentence.startswith(f"lungseg: the server cannot listen at 127.0.0.1:{port}")
