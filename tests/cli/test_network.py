# SPDX-License-Identifier: Apache-2.0
"""No command opens an internet socket that the user did not ask for: no telemetry, no look-up of a newer version."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from command_support import TINY
from network_support import calls, leaves, traced

from lungseg.model.paths import bundle_root

pytestmark = [pytest.mark.slow, pytest.mark.safety("no-telemetry")]
needs_deploy = pytest.mark.skipif(find_spec("holoscan") is None, reason="the extra `deploy` is not installed")


COMMANDS = {
    "predict": lambda data, run, out: (
        "predict", data / "CXR_png", "-o", out, "--save", "nifti,labels,probabilities", "--workers", 2,
    ),
    "train": lambda data, run, out: ("train", "--data", data, "-o", out, "--epochs", 1, "--config", *TINY),
    "evaluate": lambda data, run, out: ("evaluate", "--data", data, "-o", out, "--weights", run),
    "check-data": lambda data, run, out: ("check-data", data, "-o", out / "sheet.png"),
    "export": lambda data, run, out: ("export", "-o", out, "--weights", run),
    "pack": lambda data, run, out: ("pack", "-o", out / "bundle.zip"),
    "demo": lambda data, run, out: ("demo", "-o", out / "demo"),
    "help": lambda data, run, out: ("--help",),
}  # fmt: skip


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which nobody listens, and which nobody else can take meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def quiet(done, sockets: list[tuple[str, int]], status: int = 0) -> None:
    assert done.returncode == status, done.stdout[-2000:] + done.stderr[-2000:]
    assert not [socket for socket in sockets if leaves(*socket)]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_opens_no_socket(dataset, run_folder, tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    quiet(*traced(tmp_path, "-m", "lungseg", *COMMANDS[name](dataset, run_folder, out)))


def test_a_resumed_training_opens_no_socket(run_folder, tmp_path):
    folder = shutil.copytree(run_folder, tmp_path / "run")
    quiet(*traced(tmp_path, "-m", "lungseg", "train", "--resume", "-o", folder))


def test_the_library_opens_no_socket(dataset, tmp_path):
    image = dataset / "CXR_png" / "phantom_0001.png"
    code = f"import lungseg; lungseg.load(device='cpu').predict({str(image)!r})"
    quiet(*traced(tmp_path, "-c", code))


def test_monai_opens_no_socket_for_the_bundle(dataset, tmp_path):
    settings = ("--dataset_dir", dataset / "CXR_png", "--output_dir", tmp_path / "out")
    run = ("-m", "monai.bundle", "run", "--config_file", "configs/inference.json", *settings)
    quiet(*traced(tmp_path, *run, cwd=bundle_root()))


@needs_deploy
def test_the_application_opens_no_socket(dataset, tmp_path):
    from deploy_support import write_study_file

    write_study_file(tmp_path / "studies" / "one.dcm", "a", ViewPosition="PA")
    arguments = ("-i", tmp_path / "studies", "-o", tmp_path / "out")
    quiet(*traced(tmp_path, "-m", "lungseg", "deploy", "run", *arguments))


@needs_deploy
def test_the_worker_connects_to_its_orthanc_alone(tmp_path, closed_port):
    arguments = ("--once", "--orthanc", f"http://127.0.0.1:{closed_port}", "--state", tmp_path / "state")
    done, sockets = traced(tmp_path, "-m", "lungseg", "deploy", "watch", *arguments)
    quiet(done, sockets, status=1)
    assert set(sockets) == {("127.0.0.1", closed_port)}


def test_the_watch_sees_sockets(tmp_path, closed_port):
    code = f"import os, socket; os.fork() or socket.socket().connect_ex(('127.0.0.1', {closed_port}))"
    assert traced(tmp_path, "-c", code)[1] == [("127.0.0.1", closed_port)]


def test_which_sockets_leave_the_machine():
    trace = """
        7 connect(3, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 ENOENT (No such file or directory)
        7 connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 0
        7 connect(3, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.1")}, 16) = 0
        7 sendto(3, "x", 1, 0, {sa_family=AF_INET6, sin6_port=htons(9), sin6_flowinfo=htonl(0), \
inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28) = 1
        7 connect(3, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), \
inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = 0
    """
    found = calls(trace)
    assert found == [("127.0.0.53", 53), ("192.0.2.1", 443), ("2001:db8::1", 9), ("::1", 80)]
    assert [leaves(*one) for one in found] == [True, True, True, False]
