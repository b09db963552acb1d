# SPDX-License-Identifier: Apache-2.0
"""`lungseg label start` and `lungseg label check` say what is wrong, and where."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from label_support import require_environment

from lungseg.data import phantom
from lungseg.images import write_png
from lungseg.workflows.label import environment
from lungseg.workflows.label.lessons import assign
from lungseg.workflows.label.versions import Versions


@pytest.fixture
def studies(tmp_path):
    folder = tmp_path / "studies"
    write_png(folder / "one.png", phantom(1, (96, 96))[0])
    return folder


def test_a_whole_set_up_is_well(command, studies):
    require_environment()
    outcome = command("label", "check", "--studies", studies, "--port", "8137")
    assert outcome.status == 0, outcome.out
    assert "All is well." in outcome.out
    assert "numpy 1.26" in outcome.out
    assert "pydicom 2." in outcome.out


def test_each_fault_is_told(command, studies, tmp_path, monkeypatch):
    broken = tmp_path / "environment"
    broken.mkdir()
    monkeypatch.setenv(environment.VARIABLE, str(broken))
    (studies / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (studies / "one.jpg").write_bytes((studies / "one.png").read_bytes())
    (studies / "deep").mkdir()
    write_png(studies / "deep" / "two.png", phantom(2, (96, 96))[0])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = command("label", "check", "--studies", studies, "--port", port, "--weights", tmp_path / "none.pt")
    assert outcome.status == 1
    for word in (str(broken), "cannot listen", "none.pt", "broken.png", "same name", "sub-folder", "Faults: 6."):
        assert word in outcome.out, word


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"--studies": "/nowhere"}, "no such folder of studies"),
        ({"--port": "99999"}, "cannot listen"),
        ({"--weights": "/nowhere.pt"}, "no weight file"),
        ({"--original-data": "/nowhere"}, "no such folder"),
        ({"--port": "x"}, "no whole number"),
    ],
    ids=["studies", "port", "weights", "data", "usage"],
)
def test_start_refuses_before_it_builds_anything(command, studies, tmp_path, monkeypatch, change, word):
    monkeypatch.setenv(environment.VARIABLE, str(tmp_path / "never"))
    options = {"--studies": studies, "--port": "8139"} | change
    outcome = command("label", "start", *(part for option in options.items() for part in option))
    assert outcome.status == 2
    assert word in outcome.err
    assert not (tmp_path / "never").exists()


def test_an_environment_that_cannot_be_built_leaves_none_that_looks_whole(tmp_path, monkeypatch):
    broken = tmp_path / "constraints.txt"
    broken.write_text("torch==0.0.0\n")
    monkeypatch.setattr(environment, "CONSTRAINTS", broken)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setattr(environment, "_PIP", "pip")
    said = []
    with pytest.raises(environment.LungsegError, match="could not install PyTorch"):
        environment.build(tmp_path / "made", said.append)
    assert not environment.is_current(tmp_path / "made")
    assert "once" in said[0]
    with pytest.raises(environment.UsageError, match="something else"):
        environment.build(tmp_path, said.append)


def test_the_core_works_with_the_other_numpy_and_pydicom():
    """The library's own tests, in the environment of MONAI Label."""
    python = require_environment()
    core = ("images_read", "images_formats", "images_dicom", "images_nifti", "images_write", "data_labels")
    core += ("data_pairing", "data_splits", "transforms", "metrics", "measures", "losses")
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/test_{name}.py" for name in core)],
        capture_output=True,
        text=True,
        cwd=environment.__file__.rsplit("/workflows/", 1)[0],
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert sys.version_info >= (3, 11)


def test_a_section_is_kept_for_good():
    first = assign([f"study-{number}" for number in range(5)], {})
    assert {name: len(members) for name, members in first.items()} == {"train": 3, "validation": 1, "test": 1}
    later = assign([f"study-{number}" for number in range(40)], first)
    for section, members in first.items():
        assert set(members) <= set(later[section])
    assert {name: len(members) for name, members in later.items()} == {"train": 24, "validation": 8, "test": 8}


def test_a_version_without_a_record_is_none(tmp_path):
    first = tmp_path / "first.pt"
    first.touch()
    versions = Versions(tmp_path / "versions", first)
    run = versions.new_run()
    (run / "model.pt").touch()
    assert [version.number for version in versions.all()] == [0]
    assert versions.unfinished() == run
    versions.finish(run, {"from": 0})
    versions.activate(1)
    assert versions.active().weights == run / "model.pt"
    assert versions.unfinished() is None
    assert versions.new_run().name == "0002"
