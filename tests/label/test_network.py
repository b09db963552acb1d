# SPDX-License-Identifier: Apache-2.0
"""The annotation server opens no internet socket that its user did not ask for."""

from __future__ import annotations

import pytest
from data_support import image_of, save
from label_support import MODEL, LabelServer, require_environment
from network_support import leaves, sockets, under_strace


@pytest.mark.slow
@pytest.mark.safety("no-telemetry")
def test_the_server_opens_no_socket(tmp_path):
    require_environment()
    save(tmp_path / "studies" / "one.png", image_of())
    server = LabelServer(tmp_path / "studies")
    server.command, server.environment = under_strace(tmp_path, *server.command[1:])
    with server:
        assert server.post(f"/infer/{MODEL}", image="one").status == 200
    assert not [socket for socket in sockets(tmp_path) if leaves(*socket)], server.output
