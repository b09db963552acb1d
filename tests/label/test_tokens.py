# SPDX-License-Identifier: Apache-2.0
"""Tokens: only the realm's access tokens for this server sign in, and a request without one costs nothing."""

from __future__ import annotations

import json
import socket
import subprocess
from contextlib import contextmanager

import pytest
from label_support import MODEL, LabelServer, peak_memory, require_environment
from realm_support import running_realm


@pytest.fixture(scope="module")
def realm():
    with running_realm() as running:
        yield running


@pytest.fixture(scope="module")
def server(realm, label_studies, tmp_path_factory):
    """A server that asks for tokens."""
    variables = {"MONAI_LABEL_AUTH_ENABLE": "true", "MONAI_LABEL_AUTH_REALM_URI": realm.url}
    temporary = tmp_path_factory.mktemp("tmp")
    work = tmp_path_factory.mktemp("work")
    with LabelServer(label_studies, "--workspace", work, environment=variables | {"TMPDIR": str(temporary)}) as running:
        running.temporary = temporary
        yield running


def status_with(server, token: str) -> int:
    return server.ask("GET", "/lungseg/versions", authorization=f"Bearer {token}").status


@pytest.mark.safety("foreign-token")
def test_the_realms_tokens_for_this_server_sign_in(server, realm):
    assert status_with(server, realm.made()) == 200
    assert status_with(server, realm.made({"azp": "other", "aud": ["account", "monailabel-app"]})) == 200
    assert status_with(server, realm.made({"aud": "monailabel-app"}, without=["azp"])) == 200
    assert status_with(server, realm.made(without=["realm_access"])) == 403


@pytest.mark.safety("foreign-token")
@pytest.mark.parametrize(
    ("claims", "how"),
    [
        ({}, {"without": ["exp"]}),
        ({}, {"without": ["iss"]}),
        ({}, {"without": ["azp"]}),
        ({}, {"without": ["preferred_username"]}),
        ({"exp": 1}, {}),
        ({"exp": "tomorrow"}, {}),
        ({"exp": 1e999}, {}),
        ({"exp": None}, {}),
        ({"exp": [1]}, {}),
        ({"nbf": 1e999}, {}),
        ({"iat": 99999999999}, {}),
        ({"iss": "https://elsewhere.example/realms/monailabel"}, {}),
        ({"iss": ["x"]}, {}),
        ({"azp": "other-app"}, {}),
        ({"azp": {"monailabel-app": 1}}, {}),
        ({"azp": "other-app", "aud": {"a": 1}}, {}),
        ({"typ": "ID"}, {}),
        ({"typ": "ID", "aud": "monailabel-app"}, {}),
        ({"typ": "Refresh"}, {}),
        ({}, {"without": ["typ"]}),
        ({"preferred_username": 5}, {}),
        ({"preferred_username": ["ann"]}, {}),
        ({"realm_access": "monailabel-admin"}, {}),
        ({"realm_access": {"roles": "monailabel-admin"}}, {}),
        ({"realm_access": {"roles": [{"a": 1}]}}, {}),
        ({"realm_access": [["roles"]]}, {}),
        ({"email": {"a": 1}}, {}),
        ({}, {"header": {"kid": 5}}),
        ({}, {"header": {"kid": "unknown"}}),
        ({}, {"header": {"kid": None}}),
    ],
    ids=lambda part: json.dumps(part),
)
def test_other_tokens_do_not(server, realm, claims, how):
    answer = server.ask("GET", "/lungseg/versions", authorization=f"Bearer {realm.made(claims, **how)}")
    assert (answer.status, answer.detail) == (401, "the token is invalid or has expired; sign in.")


@pytest.mark.safety("foreign-token")
def test_what_is_not_a_token_does_not(server):
    deep = "eyJhbGciOiJSUzI1NiIsImtpZCI6W1tb"
    for value in ("Bearer", "Bearer ", "Basic YTpi", "bearer x", "Bearer " + "a." * 3000, f"Bearer {deep}.e30.AAAA"):
        answer = server.ask("GET", "/lungseg/versions", authorization=value)
        assert answer.status == 401, value[:40]
    assert server.get("/lungseg/versions").status == 401


@pytest.mark.safety("body-before-token")
def test_a_large_request_without_a_token_costs_neither_memory_nor_disk(server, realm):
    server.wait_until_scored(authorization=f"Bearer {realm.made()}")
    before, files = peak_memory(server), set(server.temporary.iterdir())
    for path, method, kind in (
        (f"/train/{MODEL}", "POST", "application/json"),
        ("/datastore/image?image=new", "PUT", "multipart/form-data; boundary=x"),
        ("/nowhere", "POST", "application/json"),
    ):
        size = 150 * 2**20
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
            connection.sendall(head.encode())
            assert b" 401 " in connection.recv(1000)  # before the body
            piece = b'{"a":[' + b"{}," * 10_000
            for _ in range(size // len(piece)):
                connection.sendall(piece)
    # What was sent is 450 MiB, and ten times that once parsed; the server's own threads take some tens.
    assert peak_memory(server) - before < 100 * 2**20
    assert set(server.temporary.iterdir()) == files
    assert server.get("/lungseg/").status == 200


@pytest.mark.safety("body-before-token")
def test_only_the_page_and_the_sign_in_need_no_token(server):
    for path in ("/lungseg/", "/lungseg/page/main.js", "/auth/"):
        assert server.get(path).status == 200
    assert server.get("/auth/").json == {"enabled": True}
    for path in ("/openapi.json", "/docs", "/redoc", "/logs/", "/info/", "/nowhere", "/auth/token/valid"):
        answer = server.get(path)
        assert answer.status == 401, path
        assert b"realms" not in answer.body
    for path in ("/lungseg/page/../studies", "/lungseg/page/%2e%2e/studies", "/lungseg/studies/", "//lungseg/studies"):
        assert server.ask("GET", path).status in (401, 404), path


# Asks for the claims of tokens, one a line of the input.
CLAIMS = """
import json, sys, time
import jwt
from lungseg.workflows.label.server.realm import Realm, RealmError
realm = Realm(sys.argv[1], "monailabel-app", timeout=float(sys.argv[2]), pause=float(sys.argv[3]))
for line in sys.stdin:
    began = time.monotonic()
    try:
        outcome = realm.claims(line.strip())["preferred_username"]
    except (jwt.PyJWTError, RealmError) as error:
        outcome = type(error).__name__
    print(json.dumps([outcome, time.monotonic() - began]), flush=True)
"""


@contextmanager
def asker(url: str, timeout: float, pause: float):
    """Yield a function that returns the outcome of a token, and the seconds that it took."""
    command = [require_environment(), "-c", CLAIMS, url, str(timeout), str(pause)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(token: str) -> tuple[str, float]:
            process.stdin.write(f"{token}\n")
            process.stdin.flush()
            return tuple(json.loads(process.stdout.readline()))

        yield ask
        process.stdin.close()


@pytest.mark.safety("rotated-key")
def test_keys_that_the_realm_rotates_are_fetched_and_unknown_ones_do_not_make_it_ask_often():
    with running_realm() as realm, asker(realm.url, 300, 0) as ask:
        first = realm.made()
        assert ask(first)[0] == "ann"
        realm.rotate()
        assert ask(realm.made())[0] == "ann"
        assert ask(first)[0] == "PyJWKClientError"  # withdrawn
    with running_realm() as realm, asker(realm.url, 300, 1000) as ask:
        assert ask(realm.made())[0] == "ann"
        for number in range(20):
            assert ask(realm.made(header={"kid": f"unknown-{number}"}))[0] == "PyJWKClientError"
        assert ask(realm.made())[0] == "ann"
        assert realm.asked_for_keys() == 1


@pytest.mark.safety("rotated-key")
def test_a_realm_that_does_not_answer_is_waited_for_once():
    with running_realm() as realm, socket.create_server(("127.0.0.1", 0)) as silent:
        token = realm.made()
        with asker(f"http://127.0.0.1:{silent.getsockname()[1]}", 0.5, 1000) as ask:
            outcomes = [ask(token) for _ in range(10)]
        assert {outcome for outcome, _ in outcomes} == {"RealmError"}
        assert outcomes[0][1] > 0.4
        # Its one connection is all that came.
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
