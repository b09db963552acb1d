# SPDX-License-Identifier: Apache-2.0
"""`lungseg label start` and `lungseg label check` name the faults of a set-up."""

from __future__ import annotations

import os
import socket
import subprocess
from base64 import b64encode
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest
from label_support import free_port, require_environment
from pretended_dicomweb import serving

from lungseg.data import phantom
from lungseg.io import write_png
from lungseg.workflows.label.setup import environment


@pytest.fixture
def studies(tmp_path):
    folder = tmp_path / "studies"
    write_png(folder / "one.png", phantom(1, (96, 96))[0])
    return folder


def test_a_good_set_up_has_no_fault(command, studies):
    require_environment()
    outcome = command("label", "check", "--studies", studies, "--port", free_port())
    assert outcome.status == 0, outcome.out
    assert "Faults: 0." in outcome.out
    assert "numpy 1.26" in outcome.out
    assert "pydicom 2." in outcome.out


def test_inside_the_environment_no_other_one_is_needed(tmp_path):
    command = [require_environment(), "-m", "lungseg", "label", "check", "--port", str(free_port())]
    elsewhere = os.environ | {environment.VARIABLE: str(tmp_path / "none" / "environment")}
    done = subprocess.run(command, capture_output=True, text=True, env=elsewhere, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok     environment" in done.stdout


def test_each_fault_is_listed(command, studies, tmp_path, monkeypatch):
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
    for word in (str(broken), str(port), "none.pt", "broken.png", "one.jpg", "Faults: 5."):
        assert word in outcome.out, word


@pytest.fixture
def report(command, tmp_path, monkeypatch):
    """Return the lines of `lungseg label check` about one subject, without a check of the environment."""
    monkeypatch.setenv(environment.VARIABLE, str(tmp_path / "never"))

    def call(subject: str, *options: object) -> list[str]:
        outcome = command("label", "check", "--port", free_port(), *options)
        return [line for line in outcome.out.splitlines() if line[7:].startswith(subject)]

    return call


def test_files_in_sub_folders_are_listed_and_are_not_faults(report, studies):
    for number in range(12):
        write_png(studies / "deep" / f"{number}.png", phantom(2, (96, 96))[0])
    *nested, rest, result = report("studies", "--studies", studies)
    assert [line.split(": ")[1] for line in nested] == [f"deep/{number}.png" for number in (0, 1, 10, 11, *range(2, 8))]
    assert rest == "       studies: 2 more"
    assert result == "ok     studies"


@pytest.mark.safety("odd-studies")
def test_odd_studies_are_faults_and_do_not_end_the_check(report, studies):
    (studies / "link.png").symlink_to("one.png")
    (studies / "bell\a.png").write_bytes((studies / "one.png").read_bytes())
    (studies / "empty.png").touch()
    os.mkfifo(studies / "pipe.png")
    lines = report("studies", "--studies", studies)
    for word in ("link.png: it is a link", "bell\\x07.png", "empty.png", "pipe.png"):
        assert any(word in line for line in lines), word
    (studies / ".lungseg-label").symlink_to(studies.parent)
    assert any("link" in line for line in report("workspace", "--studies", studies))


@pytest.fixture
def service():
    """A DICOMweb service with a password and a prefix."""

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == f"Basic {b64encode(b'user:secret:word').decode()}"
            self.send_response(200 if known and self.path.startswith("/web/qido/series?") else 401)
            self.end_headers()

        def log_message(self, *_) -> None:
            pass

    with serving(Service) as url:
        yield f"{url}/web/"


def test_a_service_is_asked_with_the_settings_of_the_server(report, service, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("MONAI_LABEL_QIDO_PREFIX", "qido")
    monkeypatch.setenv("MONAI_LABEL_DICOMWEB_USERNAME", "user")
    for password, result in (("secret:word", "ok     studies"), ("other", "fault  studies")):
        monkeypatch.setenv("MONAI_LABEL_DICOMWEB_PASSWORD", password)
        (line,) = report("studies", "--studies", service)
        assert line.startswith(result)


def test_replay_data_are_checked_as_a_training_reads_them(report, tmp_path):
    folder = tmp_path / "replay"
    for number in range(8):
        image, labels = phantom(number, (96, 96))
        write_png(folder / "images" / f"{number}.png", image)
        write_png(folder / "labels" / f"{number}.png", labels)
    assert report("replay data", "--replay-data", folder) == ["ok     replay data"]
    for file in (folder / "labels").iterdir():
        write_png(file, np.zeros((96, 96), np.uint8))
    (line,) = report("replay data", "--replay-data", folder)
    assert line.startswith("fault  replay data")
    assert "validation" in line


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"--studies": "/nowhere"}, "/nowhere"),
        ({"--port": "99999"}, "99999"),
        ({"--weights": "/nowhere.pt"}, "/nowhere.pt"),
        ({"--replay-data": "/nowhere"}, "/nowhere"),
        ({"--port": "x"}, "--port"),
    ],
    ids=["studies", "port", "weights", "data", "usage"],
)
def test_start_refuses_before_it_builds_anything(command, studies, tmp_path, monkeypatch, change, word):
    monkeypatch.setenv(environment.VARIABLE, str(tmp_path / "never"))
    options = {"--studies": studies, "--port": free_port()} | change
    outcome = command("label", "start", *(part for option in options.items() for part in option))
    assert outcome.status == 2
    assert word in outcome.err
    assert not (tmp_path / "never").exists()
