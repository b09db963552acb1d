# SPDX-License-Identifier: Apache-2.0
"""The annotation server opens no internet socket that its user did not ask for."""

from __future__ import annotations

import signal
import subprocess
import time
import urllib.request
from urllib.error import URLError

import pytest
from data_support import image_of, save
from label_support import MODEL, free_port, require_environment
from network_support import leaves, sockets, under_strace

LONGEST_START = 300


@pytest.mark.slow
@pytest.mark.safety("no-telemetry")
def test_the_server_opens_no_socket(tmp_path):
    require_environment()
    save(tmp_path / "studies" / "one.png", image_of())
    port = free_port()
    start = ("-m", "lungseg", "label", "start", "--studies", tmp_path / "studies", "--port", port)
    command, environment = under_strace(tmp_path, *start)
    with open(tmp_path / "log.txt", "wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/info/", server)
        infer = urllib.request.Request(f"{address}/infer/{MODEL}?image=one", data=b"", method="POST")
        assert urllib.request.urlopen(infer, timeout=120).status == 200
    finally:
        server.send_signal(signal.SIGTERM)
        # strace passes no signal on; its child ends with the process group.
        subprocess.run(["kill", "-TERM", f"-{server.pid}"], check=False)
        server.wait(60)
    log = (tmp_path / "log.txt").read_text("utf-8", "replace")
    assert not [socket for socket in sockets(tmp_path) if leaves(*socket)], log[-2000:]


def wait_for(url: str, server: subprocess.Popen) -> None:
    until = time.monotonic() + LONGEST_START
    while time.monotonic() < until:
        assert server.poll() is None
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.5)
    raise AssertionError("the server did not start")
