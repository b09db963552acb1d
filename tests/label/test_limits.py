# SPDX-License-Identifier: Apache-2.0
"""The label server's limits: sizes of bodies by route, time and number of connections, radiographs read at a time."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from label_support import MODEL, free_port, require_environment

SUPPORT = Path(__file__).parents[1] / "support"
FORM = "multipart/form-data; boundary=x"


@pytest.fixture(scope="module")
def impatient():
    """The port of a server with the same limits and short times."""
    port = free_port()
    process = subprocess.Popen([require_environment(), SUPPORT / "impatient_server.py", str(port)])
    end = time.monotonic() + 60
    while True:
        try:
            with asking(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
                assert b" 200 " in connection.recv(1000)
            break
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.1)
    yield port
    process.kill()
    process.wait()


@contextmanager
def asking(port: int, text: str = ""):
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(text.encode())
        yield connection


def is_ended(connection: socket.socket) -> bool:
    """Return whether the server ends a connection without an answer."""
    try:
        return connection.recv(1000) == b""
    except ConnectionResetError:
        return True


@pytest.mark.safety("slow-client")
@pytest.mark.parametrize("sent", ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_request_that_never_begins_is_ended(impatient, sent):
    with asking(impatient, sent) as connection:
        assert is_ended(connection)


@pytest.mark.safety("slow-client")
def test_a_body_that_does_not_come_is_refused(impatient):
    for length in ("Content-Length: 50000", "Transfer-Encoding: chunked"):
        with asking(impatient, f"PUT /datastore/label HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n") as connection:
            if "chunked" in length:
                connection.sendall(b"1\r\nx\r\n")
            assert b" 408 " in connection.recv(1000)


@pytest.mark.safety("slow-client")
def test_the_rest_of_a_refused_body_is_not_waited_for(impatient):
    head = "PUT /datastore/label HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n"
    with asking(impatient, head) as connection:
        assert b" 413 " in connection.recv(1000)
        end = time.monotonic() + 20
        try:
            while time.monotonic() < end:
                connection.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            return
    pytest.fail("the server still reads")


@pytest.mark.safety("slow-client")
def test_an_answer_that_is_not_taken_is_ended_and_one_that_is_taken_slowly_is_not(impatient):
    ask = "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
    with asking(impatient, ask) as slow:
        for _ in range(10):  # longer than the server waits for an idle client
            time.sleep(0.3)
            assert slow.recv(2**22)
    with asking(impatient, ask) as silent:
        time.sleep(4)
        taken = 0
        try:
            while piece := silent.recv(2**20):
                taken += len(piece)
        except ConnectionResetError:
            pass
        assert taken < 2**26


@pytest.mark.safety("slow-client")
def test_connections_are_limited_and_free_again(impatient):
    held = [socket.create_connection(("127.0.0.1", impatient), 30) for _ in range(12)]
    try:
        held[-1].settimeout(0.3)
        assert is_ended(held[-1])
        assert all(is_ended(one) for one in held)
    finally:
        for one in held:
            one.close()
    with asking(impatient, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        assert b" 200 " in connection.recv(1000)


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
