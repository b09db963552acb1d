# SPDX-License-Identifier: Apache-2.0
"""The label server's limits: sizes of bodies by route, time and number of connections, radiographs read at a time."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from label_support import (
    MODEL,
    LabelServer,
    free_port,
    peak_memory,
    require_environment,
    wait_for,
    wait_until_listening,
)

from lungseg.data import phantom
from lungseg.io import write_png

SUPPORT = Path(__file__).parents[1] / "support"
FORM = "multipart/form-data; boundary=x"
ESTABLISHED = "01"


@pytest.fixture(scope="module")
def impatient():
    """The port of a server with the same limits and short times."""
    port = free_port()
    process = subprocess.Popen([require_environment(), SUPPORT / "impatient_server.py", str(port)])
    try:
        wait_until_listening(process, port)
        yield port
    finally:
        process.kill()
        process.wait()


@contextmanager
def asking(port: int, text: str = ""):
    with socket.create_connection(("127.0.0.1", port), 120) as connection:
        connection.sendall(text.encode())
        yield connection


def asking_for(port: int, path: str):
    return asking(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")


def is_ended(connection: socket.socket) -> bool:
    """Return whether the server ends a connection without an answer."""
    try:
        return connection.recv(1000) == b""
    except ConnectionResetError:
        return True


def is_given_up(connection: socket.socket) -> bool:
    """Return whether the server has ended a connection, also while its client takes nothing that would say so."""
    server, client = (f"{port:04X}" for port in (connection.getpeername()[1], connection.getsockname()[1]))
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    ends = [line[3] for line in lines if (line[1][-4:], line[2][-4:]) == (server, client)]
    return ends != [ESTABLISHED]


def is_answered(connection: socket.socket) -> bool:
    """Return whether the server answers a connection; it ends one that is too many without a word."""
    try:
        return b" 200 " in connection.recv(1000)
    except ConnectionResetError:
        return False


@pytest.mark.safety("slow-client")
@pytest.mark.parametrize("sent", ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_request_that_never_begins_is_ended(impatient, sent):
    with asking(impatient, sent) as connection:
        assert is_ended(connection)


@pytest.mark.safety("slow-client")
def test_a_body_that_does_not_come_is_refused(impatient):
    for rest in ("Content-Length: 50000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"):
        with asking(impatient, f"PUT /datastore/label HTTP/1.1\r\nHost: x\r\n{rest}") as connection:
            assert b" 408 " in connection.recv(1000)


@pytest.mark.safety("slow-client")
def test_the_rest_of_a_refused_body_is_not_waited_for(impatient):
    head = "PUT /datastore/label HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n"
    with asking(impatient, head) as connection:
        assert b" 413 " in connection.recv(1000)
        end = time.monotonic() + 120
        try:
            while time.monotonic() < end:
                connection.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            return
    pytest.fail("the server still reads")


@pytest.mark.safety("slow-client")
def test_an_answer_that_is_not_taken_is_ended_and_one_that_is_taken_slowly_is_not(impatient):
    with asking_for(impatient, "/large") as slow:
        for _ in range(10):  # longer than the server waits for an idle client
            time.sleep(0.3)
            assert slow.recv(2**22)
    with asking_for(impatient, "/large") as silent:
        wait_for(lambda: is_given_up(silent))
        taken = 0
        try:
            while piece := silent.recv(2**20):
                taken += len(piece)
        except ConnectionResetError:
            pass
        assert taken < 2**26


@pytest.mark.safety("slow-client")
def test_connections_are_limited_and_free_again(impatient):
    with ExitStack() as held:
        for _ in range(5):
            wait_for(lambda: is_answered(held.enter_context(asking_for(impatient, "/held"))))
        for _ in range(7):
            with asking_for(impatient, "/") as one_more:
                assert not is_answered(one_more)

    def is_free() -> bool:
        with asking_for(impatient, "/") as connection:
            return is_answered(connection)

    wait_for(is_free)


@pytest.mark.safety("two-lengths")
def test_a_request_with_two_lengths_is_refused_with_what_follows_it(label_server):
    second = "GET /lungseg/versions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    first = "POST /lungseg/versions/0/activate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n"
    with asking(label_server.port, f"{first}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{second}") as connection:
        answer = b""
        while piece := connection.recv(10_000):
            answer += piece
    assert answer.count(b"HTTP/1.1") == 1
    assert b" 400 " in answer


@pytest.mark.safety("large-body")
def test_only_routes_for_files_take_large_bodies(label_server):
    large = b"[" + b"{}," * 30_000 + b"{}]"
    for path, kind in (
        (f"/train/{MODEL}", "application/json"),
        ("/activelearning/random", "application/json"),
        (f"/infer/{MODEL}?image=photo", "application/x-www-form-urlencoded"),
        ("/lungseg/versions/0/activate", FORM),
        ("/nowhere", FORM),
    ):
        answer = label_server.ask("POST", path, large, content_type=kind)
        assert answer.status == 413, path
        assert answer.detail
    params = "x" * 100_000
    answer = label_server.form("POST", f"/infer/{MODEL}", {"params": params}, image="photo")
    assert answer.status == 400
    many = {str(number): "x" for number in range(100)}
    assert label_server.form("POST", f"/infer/{MODEL}", many, image="photo").status == 400


QUEUE = """
import anyio, json
from fastapi import HTTPException
from lungseg.workflows.label.server.decoding import DecodingQueue

outcomes, at_once, most = [], 0, 0

async def ask(queue, seconds):
    global at_once, most
    try:
        async with queue.slot():
            at_once += 1
            most = max(most, at_once)
            await anyio.sleep(seconds)
            at_once -= 1
        outcomes.append(200)
    except HTTPException as error:
        outcomes.append([error.status_code, error.headers["Retry-After"].isdigit()])

async def main():
    async with anyio.create_task_group() as group:
        queue = DecodingQueue(slots=2, length=3, patience=30)
        for _ in range(7):
            group.start_soon(ask, queue, 0.05)
    async with anyio.create_task_group() as group:
        queue = DecodingQueue(slots=1, length=3, patience=0.05)
        for _ in range(2):
            group.start_soon(ask, queue, 1)
    async with anyio.create_task_group() as group:  # the slot of one that gave up is not lost
        group.start_soon(ask, queue, 0)
    print(json.dumps([outcomes, most]))

anyio.run(main)
"""


@pytest.mark.safety("many-decodes")
def test_a_few_radiographs_are_read_at_a_time_and_the_others_wait_for_a_bounded_time():
    done = subprocess.run([require_environment(), "-c", QUEUE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    outcomes, most = json.loads(done.stdout.splitlines()[-1])
    busy = [503, True]
    assert outcomes == [busy, busy, *[200] * 5, busy, 200, 200]
    assert most == 2


@pytest.mark.safety("many-decodes")
def test_many_pictures_at_once_need_the_memory_of_one(tmp_path):
    require_environment()
    studies = tmp_path / "studies"
    studies.mkdir()
    write_png(studies / "large.png", np.resize(phantom(0, (200, 220))[0], (2800, 3000)))
    path = "/lungseg/studies/large/picture"
    with LabelServer(studies, environment={"MONAI_LABEL_INFER_CONCURRENCY": "1"}) as server:
        server.wait_until_scored()
        assert server.get(path).status == 200
        one = peak_memory(server)
        with ThreadPoolExecutor(12) as clients:
            answers = list(clients.map(server.get, [path] * 12))
        assert {answer.status for answer in answers} == {200}
        assert peak_memory(server) - one < 250 * 2**20  # the answers that wait for their clients, and no more
