# SPDX-License-Identifier: Apache-2.0
"""The worker's client beside a server that is not the Orthanc that it should be."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
import urllib3

from lungseg.workflows.deploy.orthanc import client
from lungseg.workflows.deploy.orthanc.client import LoginError, NotOrthancError, Orthanc, UnavailableError, is_safe

INSTANCE = "0a1b2c3d-4e5f6071-82930a1b-2c3d4e5f-60718293"


class Pretender(ThreadingHTTPServer):
    """Answers every request with the same status, headers and parts of a body; remembers the requests."""

    daemon_threads = True

    def __init__(self, status: int = 200, headers: dict | None = None, parts=()) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        pretender = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                pretender.requests.append((self.command, self.path, body))
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for part in parts:
                        self.wfile.write(part)
                        self.wfile.flush()
                except OSError:  # the client has had enough
                    pass

            def log_message(self, *arguments):
                pass

        for method in ("GET", "POST", "PUT"):
            setattr(Handler, f"do_{method}", Handler.answer)
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def pretend():
    servers = []

    def start(*arguments, **named) -> Pretender:
        servers.append(Pretender(*arguments, **named))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.safety("redirect")
def test_a_patient_is_not_carried_to_another_address(pretend, tmp_path, status):
    elsewhere = pretend(parts=[b"{}"])
    server = pretend(status, {"Location": f"{elsewhere.url}/instances"})
    (tmp_path / "result.dcm").write_bytes(b"a patient")
    with pytest.raises(NotOrthancError, match="another address"):
        Orthanc(server.url).store(tmp_path / "result.dcm")
    assert len(server.requests) == 1
    assert not elsewhere.requests


@pytest.mark.parametrize(
    "answer",
    [
        b"[" * 100_000,
        b'{"Last": 1e999, "Changes": [], "Done": true}',
        b'{"Last": "5", "Changes": [], "Done": true}',
        b'{"Last": ' + b"9" * 10_000 + b', "Changes": [], "Done": true}',
        b'{"Last": 5, "Changes": [{"Seq": [], "ChangeType": "StableStudy", "ID": "'
        + INSTANCE.encode()
        + b'"}], "Done": true}',
        b'{"Last": 5, "Changes": 7, "Done": true}',
        b"[]",
        b"null",
        b"\xff\xfe",
        b"",
    ],
    ids=range(10),
)
@pytest.mark.safety("odd-answer")
def test_odd_answers_are_waited_for(pretend, answer):
    server = pretend(headers={"Content-Length": str(len(answer))}, parts=[answer])
    with pytest.raises(UnavailableError):
        list(Orthanc(server.url).changes(0))


@pytest.mark.safety("odd-answer")
@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ContentDecodingError,
        requests.exceptions.InvalidHeader,
        urllib3.exceptions.ProtocolError,
        urllib3.exceptions.DecodeError,
        ConnectionResetError,
    ],
)
@pytest.mark.parametrize("when", ["before the answer", "in the answer"])
def test_an_error_of_the_network_is_waited_for(pretend, monkeypatch, error, when):
    server = pretend(parts=[b"{}"])

    def fail(*arguments, **named):
        raise error("it broke")

    broken = (requests.Session, "request") if when == "before the answer" else (urllib3.HTTPResponse, "read1")
    monkeypatch.setattr(*broken, fail)
    with pytest.raises(UnavailableError):
        Orthanc(server.url).metadata(INSTANCE)


@pytest.mark.safety("odd-answer")
def test_a_feed_without_progress_is_not_asked_for_ever(pretend):
    server = pretend(parts=[b'{"Last": 3, "Changes": [], "Done": false}'])
    with pytest.raises(NotOrthancError):
        list(Orthanc(server.url).changes(3))
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["../../TMP/x", "/etc/passwd", "", 7, ["a"], INSTANCE.upper(), f"{INSTANCE}\n"])
@pytest.mark.safety("foreign-names")
def test_a_name_that_is_no_identifier_is_never_used(pretend, name):
    series = [{"MainDicomTags": {}, "Instances": [name]}]
    with pytest.raises(NotOrthancError):
        Orthanc(pretend(parts=[json.dumps(series).encode()]).url).series(INSTANCE)
    change = {"Seq": 1, "ChangeType": "StableStudy", "ID": name}
    feed = {"Last": 1, "Changes": [change], "Done": True}
    assert not list(Orthanc(pretend(parts=[json.dumps(feed).encode()]).url).changes(0))


@pytest.mark.safety("odd-answer")
def test_an_endless_answer_ends(pretend, monkeypatch):
    monkeypatch.setattr(client, "_MAX_ANSWER", 2**20)
    server = pretend(parts=(b" " * 2**16 for _ in iter(int, 1)))
    with pytest.raises(NotOrthancError, match="bytes"):
        Orthanc(server.url)._call("GET", "/changes", limit=2**20)


@pytest.mark.safety("odd-answer")
def test_an_answer_that_trickles_ends(pretend, monkeypatch):
    monkeypatch.setattr(client, "_ANSWER_SECONDS", 0.2)

    def trickle():
        while True:
            time.sleep(0.05)
            yield b" "

    server = pretend(headers={"Content-Length": "1000000"}, parts=trickle())
    with pytest.raises(NotOrthancError, match="seconds"):
        Orthanc(server.url).metadata(INSTANCE)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.safety("password-refused")
def test_a_refused_password_is_its_own_error(pretend, status):
    with pytest.raises(LoginError):
        Orthanc(pretend(status).url).metadata(INSTANCE)


@pytest.mark.parametrize(
    ("version", "safe"),
    [("1.12.10", False), ("1.12.11", True), ("1.9.7", False), ("1.13", True), ("2.0.0", True), ("mainline", True)],
)
@pytest.mark.safety("old-orthanc")
def test_versions_with_published_holes_are_known(version, safe):
    assert is_safe(version) == safe
