# SPDX-License-Identifier: Apache-2.0
"""`lungseg label start` and `lungseg label check` say what is wrong, and where."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from base64 import b64encode
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from label_support import free_port, require_environment
from pretended_dicomweb import serving

from lungseg.data import phantom
from lungseg.io import write_png
from lungseg.model.paths import weights_file
from lungseg.utils.errors import LungsegError
from lungseg.workflows.label.setup import environment
from lungseg.workflows.label.setup.check import check
from lungseg.workflows.label.store.model_versions import Versions
from lungseg.workflows.label.store.workspace import default_work_folder
from lungseg.workflows.label.tasks.active_model import ActiveModel
from lungseg.workflows.label.tasks.scoring import Scoring
from lungseg.workflows.label.tasks.training_snapshot import assign


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


def test_from_within_the_environment_no_other_one_is_looked_for(tmp_path):
    command = [require_environment(), "-m", "lungseg", "label", "check", "--port", str(free_port())]
    elsewhere = os.environ | {environment.VARIABLE: str(tmp_path / "none" / "environment")}
    done = subprocess.run(command, capture_output=True, text=True, env=elsewhere, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "well   environment" in done.stdout


def test_each_fault_is_told(command, studies, tmp_path, monkeypatch):
    broken = tmp_path / "environment"
    broken.mkdir()
    monkeypatch.setenv(environment.VARIABLE, str(broken))
    (studies / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (studies / "one.jpg").write_bytes((studies / "one.png").read_bytes())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = command("label", "check", "--studies", studies, "--port", port, "--weights", tmp_path / "none.pt")
    assert outcome.status == 1
    for word in (str(broken), "cannot listen", "none.pt", "broken.png", "same name", "Faults: 5."):
        assert word in outcome.out, word


@pytest.fixture
def looked_at(tmp_path, monkeypatch):
    """Return what `lungseg label check` says of one thing, and spare the look into the environment."""
    monkeypatch.setenv(environment.VARIABLE, str(tmp_path / "never"))

    def call(what: str, studies=None, **options) -> list[str]:
        said = []
        check(studies and str(studies), port=free_port(), say=said.append, **options)
        return [line for line in said if line[7:].startswith(what)]

    return call


def test_files_in_sub_folders_are_told_and_no_fault(looked_at, studies):
    for number in range(12):
        write_png(studies / "deep" / f"{number}.png", phantom(2, (96, 96))[0])
    said = looked_at("studies", studies)
    assert said[:2] == [
        "       studies: deep/0.png: it lies in a sub-folder; only the files of the folder itself are listed",
        "       studies: deep/1.png: it lies in a sub-folder; only the files of the folder itself are listed",
    ]
    assert said[10:] == ["       studies: 2 more", "well   studies"]


@pytest.fixture
def service():
    """A DICOMweb service that wants a password, at another place than its root."""

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == f"Basic {b64encode(b'user:secret:word').decode()}"
            self.send_response(200 if known and self.path.startswith("/web/qido/series?") else 401)
            self.end_headers()

        def log_message(self, *_) -> None:
            pass

    with serving(Service) as url:
        yield f"{url}/web/"


def test_a_service_is_asked_as_the_server_will_ask_it(looked_at, service, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("MONAI_LABEL_QIDO_PREFIX", "qido")
    monkeypatch.setenv("MONAI_LABEL_DICOMWEB_USERNAME", "user")
    for password, line in (("secret:word", "well   studies"), ("other", "fault  studies")):
        monkeypatch.setenv("MONAI_LABEL_DICOMWEB_PASSWORD", password)
        (said,) = looked_at("studies", service)
        assert said.startswith(line)


def test_original_data_are_well_only_if_a_training_takes_them(looked_at, tmp_path):
    folder = tmp_path / "original"
    for number in range(8):
        image, labels = phantom(number, (96, 96))
        write_png(folder / "images" / f"{number}.png", image)
        write_png(folder / "labels" / f"{number}.png", labels)
    assert looked_at("original data", replay_data=folder) == ["well   original data"]
    for file in (folder / "labels").iterdir():
        write_png(file, np.zeros((96, 96), np.uint8))
    *told, fault = looked_at("original data", replay_data=folder)
    assert all(line.startswith("       original data: Not used: ") for line in told)
    assert fault.startswith("fault  original data")
    assert "section validation" in fault


def test_the_work_folder_of_a_service_lies_where_the_system_keeps_state(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    usual = default_work_folder("http://127.0.0.1:8042/dicom-web")
    assert usual.parent == tmp_path / ".local" / "state" / "lungseg"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert default_work_folder("http://127.0.0.1:8042/dicom-web/") == tmp_path / "state" / "lungseg" / usual.name


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"--studies": "/nowhere"}, "no such folder of studies"),
        ({"--port": "99999"}, "cannot listen"),
        ({"--weights": "/nowhere.pt"}, "no weight file"),
        ({"--replay-data": "/nowhere"}, "no such folder"),
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


def test_the_active_weights_are_asked_for_once_a_listing(tmp_path):
    class Active:
        asked = 0

        def loaded(self) -> tuple:
            self.asked += 1
            return None, None, "new"

    known = {str(number): {"weights": "new" if number else "old", "quality": 0.9} for number in range(50)}
    (tmp_path / "survey.json").write_text(json.dumps(known))
    active = Active()
    survey = Scoring(tmp_path / "survey.json", None, active)
    assert set(survey.findings()) == set(known) - {"0"}
    assert active.asked == 1


def test_what_a_service_did_not_give_is_looked_at_later(tmp_path):
    write_png(tmp_path / "study.png", phantom(1, (128, 160))[0])

    class Studies:
        given = False

        def list_images(self) -> list[str]:
            return ["study"]

        def file_of(self, image_id: str) -> Path:
            if not self.given:
                raise LungsegError("the service does not answer")
            return tmp_path / f"{image_id}.png"

    studies = Studies()
    versions = Versions(tmp_path / "versions", weights_file("shipped"))
    survey = Scoring(tmp_path / "survey.json", studies, ActiveModel(versions))
    survey.look_through()
    assert survey.findings()["study"] == {"error": "the service does not answer."}
    studies.given = True
    survey.look_through()
    assert survey.findings()["study"]["quality"] > 0
    assert "error" not in survey.findings()["study"]


def test_a_study_that_was_repaired_is_looked_at_again(tmp_path):
    file = tmp_path / "study.png"
    write_png(file, phantom(1, (128, 160))[0])
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])

    class Studies:
        def list_images(self) -> list[str]:
            return ["study"]

        def file_of(self, image_id: str) -> Path:
            return tmp_path / f"{image_id}.png"

    versions = Versions(tmp_path / "versions", weights_file("shipped"))
    segmenter = ActiveModel(versions)
    survey = Scoring(tmp_path / "survey.json", Studies(), segmenter)
    survey.look_through()
    assert "error" in survey.findings()["study"]
    file.write_bytes(whole)
    # Not after a new start, either.
    survey = Scoring(tmp_path / "survey.json", Studies(), segmenter)
    survey.look_through()
    assert survey.findings()["study"]["quality"] > 0
    before = survey.findings()["study"]
    survey.look_through()
    assert survey.findings()["study"] is before


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
