# SPDX-License-Identifier: Apache-2.0
"""The routes that the label server has, the headers of its answers, and the names under which it answers."""

from __future__ import annotations

import json
import os
import socket
import subprocess

import pytest
from label_support import MODEL, LabelServer, require_environment

# The table of the server itself, and which routes wait in the queue of the decodes.
LISTED = """
import json, os
from fastapi.routing import iter_route_contexts
from lungseg.workflows.label.server.decoding import IN_DECODING_QUEUE
from lungseg.workflows.label.server.route_list import ROUTES, SIGN_IN_ROUTES
from lungseg.workflows.label.server.web import app

served, queued = [], []
for route in iter_route_contexts(app.routes):
    methods = getattr(route, "methods", None) or ("GET",)
    path = route.path if getattr(route, "methods", None) else route.path + "/{path:path}"
    served += [(method, path) for method in methods if not (method == "HEAD" and "GET" in methods)]
    if IN_DECODING_QUEUE in (getattr(route, "dependencies", None) or ()):
        queued += [(method, path) for method in methods]
with_sign_in = os.environ.get("MONAI_LABEL_AUTH_ENABLE") == "true"
listed = [(route.method, route.path) for route in (*ROUTES, *(SIGN_IN_ROUTES if with_sign_in else ()))]
print("\\n" + json.dumps([sorted(served), sorted(listed), sorted(queued)]))
"""


@pytest.mark.safety("unlisted-route")
@pytest.mark.parametrize("sign_in", ["true", "false"])
def test_the_server_has_the_listed_routes_and_no_others(sign_in, tmp_path):
    done = subprocess.run(
        [require_environment(), "-c", LISTED],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"MONAI_LABEL_AUTH_ENABLE": sign_in},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    served, listed, queued = json.loads(done.stdout.splitlines()[-1])
    assert served == listed
    assert queued == sorted(
        [
            ["GET", "/lungseg/studies/{image}/label"],
            ["GET", "/lungseg/studies/{image}/picture"],
            ["POST", "/infer/{model}"],
            ["PUT", "/datastore/"],
            ["PUT", "/datastore/image"],
            ["PUT", "/datastore/label"],
        ]
    )


@pytest.mark.safety("unlisted-route")
def test_what_the_product_does_not_need_is_not_served(label_server):
    for path in ("/logs/", "/logs/gpu", "/datastore/dataset", "/docs", "/redoc", "/docs/oauth2-redirect"):
        assert label_server.get(path).status == 404, path
    for path in (f"/model/{MODEL}", f"/model/info/{MODEL}", "/ohif/", "/static/ohif/index.html", "/auth/"):
        assert label_server.get(path).status == 404, path
    for path in ("/datastore/image/info?image=photo", "/datastore/label/info?label=photo&tag=final"):
        assert label_server.ask("PUT", path, b"info={}").status == 404
    listed = label_server.get("/openapi.json").json["paths"]
    assert {"/infer/{model}", "/lungseg/studies"} <= set(listed)


@pytest.mark.safety("foreign-script")
@pytest.mark.parametrize(
    ("path", "cache"),
    [
        ("/lungseg/", "no-cache"),
        ("/lungseg/page/main.js", "no-cache"),
        ("/", "no-store"),
        ("/lungseg/studies", "no-store"),
        ("/lungseg/studies/photo/picture", "no-store"),
        ("/datastore/image?image=photo", "no-store"),
        ("/lungseg/studies/other/picture", "no-store"),
        ("/openapi.json", "no-store"),
    ],
)
def test_answers_forbid_frames_foreign_scripts_guessed_types_and_copies(label_server, path, cache):
    headers = raw_headers(label_server, path)
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == cache
    assert "server" not in headers


def raw_headers(server, path: str) -> dict[str, str]:
    with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(2**16):
            answer += piece
    lines = answer.split(b"\r\n\r\n")[0].decode().lower().split("\r\n")[1:]
    names = [line.split(": ", 1)[0] for line in lines]
    assert len(names) == len(set(names))
    exact = answer.split(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return dict(zip(names, (line.split(": ", 1)[1] for line in exact), strict=True))


@pytest.mark.safety("dns-rebinding")
def test_a_server_for_others_answers_under_its_own_names_only(label_studies, tmp_path):
    require_environment()
    variables = {"LUNGSEG_LABEL_ALLOWED_HOSTS": "lungs.example, wards.example:8443"}
    variables["LUNGSEG_LABEL_PUBLIC_HOST"] = "proxy.example"
    options = ("--workspace", tmp_path, "--host", "0.0.0.0")
    with LabelServer(label_studies, *options, environment=variables) as server:
        known = [f"127.0.0.1:{server.port}", f"localhost:{server.port}", socket.gethostname(), f"[::1]:{server.port}"]
        for host in (*known, "LUNGS.example", "lungs.example:99", "wards.example:8443", "proxy.example"):
            assert server.ask("GET", "/lungseg/studies", Host=host).status == 200, host
            own = server.ask("POST", "/lungseg/versions/0/activate", b"", Host=host, Origin=f"http://{host}")
            assert own.status == 200, host
        for host in ("evil.example", f"evil.example:{server.port}", "wards.example", "proxy.example:1", "10.9.8.7"):
            answer = server.ask("GET", "/lungseg/studies", Host=host, Origin=f"http://{host}")
            assert answer.status == 403, host
            assert "LUNGSEG_LABEL_ALLOWED_HOSTS" in answer.detail


@pytest.mark.safety("dns-rebinding")
@pytest.mark.parametrize(
    ("settings", "call", "allowed"),
    [
        ({}, ("evil.example", "127.0.0.1"), False),
        ({"LUNGSEG_LABEL_LISTENS_AT": "0.0.0.0"}, ("10.1.2.3:8000", "10.1.2.3"), True),
        ({"LUNGSEG_LABEL_LISTENS_AT": "0.0.0.0"}, ("0.0.0.0:8000", "10.1.2.3"), False),
        ({"LUNGSEG_LABEL_LISTENS_AT": "::"}, ("[fd00::1]:8000", "fd00::1"), True),
        ({"LUNGSEG_LABEL_LISTENS_AT": "0.0.0.0"}, ("evil.example", "10.1.2.3"), False),
        ({"LUNGSEG_LABEL_LISTENS_AT": "0.0.0.0"}, ("", "10.1.2.3"), False),
        ({"LUNGSEG_LABEL_LISTENS_AT": "10.1.2.3"}, ("10.1.2.3", "10.1.2.3"), True),
        ({"LUNGSEG_LABEL_LISTENS_AT": "127.0.0.1"}, ("10.1.2.3", "10.1.2.3"), False),
        ({"LUNGSEG_LABEL_ALLOWED_HOSTS": "*"}, ("evil.example", "127.0.0.1"), True),
        ({"LUNGSEG_LABEL_ALLOWED_HOSTS": ","}, ("", "127.0.0.1"), False),
        ({"LUNGSEG_LABEL_ALLOWED_HOSTS": "a.example"}, ("b.a.example", "127.0.0.1"), False),
    ],
)
def test_allowed_names(settings, call, allowed):
    code = "import sys, json; from lungseg.workflows.label.server.same_origin import AllowedHosts\n"
    code += f"print({call!r} in AllowedHosts({settings!r}))"
    done = subprocess.run([require_environment(), "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == str(allowed), done.stderr[-1000:]


@pytest.mark.safety("invalid-request")
def test_invalid_headers_are_refused(label_server):
    for name, value in (("Host", "["), ("Host", "]["), ("Host", "a b"), ("Origin", "http://["), ("Origin", "null")):
        host = "" if name == "Host" else f"Host: 127.0.0.1:{label_server.port}\r\n"
        request = f"GET /lungseg/studies HTTP/1.1\r\n{host}{name}: {value}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", label_server.port), 30) as connection:
            connection.sendall(request.encode())
            status = int(connection.recv(1000).split()[1])
        assert status in (400, 403), (name, value)


NAMES = ("\ud800", "\x00", "x" * 5000, "%", "‮a", "a/../b", "[", "{}")
DEEP = b"[" * 30_000


@pytest.mark.safety("invalid-request")
def test_invalid_requests_are_refused_and_not_stumbled_over(label_server):
    kind = {"content_type": "application/json"}
    calls = [
        ("POST", "/activelearning/random", body, kind)
        for body in (DEEP, b"[NaN]", b'"\\ud800"', b"{", b"\xff", b"[1e999]", b'{"client_id": {"a": NaN}}', b"12")
    ]
    calls += [("POST", f"/train/{MODEL}", body, kind) for body in (DEEP, b"[NaN]", b'{"epochs": "\\ud800"}')]
    calls += [
        (method, path, b"" if method != "GET" else None, {})
        for method, path in (
            ("GET", "/datastore/?output=train"),
            ("GET", "/datastore/?output=%ff"),
            ("POST", f"/lungseg/versions/{'9' * 4000}/activate"),
            ("POST", "/lungseg/versions/-1/activate"),
            ("POST", f"/train/{MODEL}?enqueue=%ff"),
            ("POST", "/activelearning/%ff%00"),
            ("POST", f"/infer/{MODEL}?image=photo&output=%00"),
            ("PUT", "/datastore/image"),
            ("DELETE", "/datastore/label?id=%00&tag=%ff"),
            ("DELETE", "/datastore/image?id=%ff"),
            ("GET", "/lungseg/page/%00"),
            ("GET", "/lungseg/page/%ff/" + "a" * 5000),
            ("GET", "/lungseg/studies/photo/label?tag=" + "a" * 5000),
        )
    ]
    for method, path, body, headers in calls:
        answer = label_server.ask(method, path, body, **headers)
        assert answer.status < 500, (method, path[:80], answer)
    for params in (
        {"result_extension": 5},
        {"result_extension": ["x"]},
        {"result_extension": "\ud800"},
        {"result_extension": "/../x.png"},
        {"save_label": True, "label_tag": {"a": 1}},
        {"save_label": True, "label_tag": "\ud800"},
    ):
        answer = label_server.infer("photo", "json", **params)
        assert answer.status == 400, (params, answer)
    for text in ("[" * 30_000, "NaN", '"\\ud800"'):
        answer = label_server.form("POST", f"/infer/{MODEL}", {"params": text}, image="photo")
        assert answer.status == 400
    for broken in (
        b"",
        b"--x",
        b"--x\r\n\r\n",
        b'--x\r\nContent-Disposition: form-data; name="label"\r\n\r\n1\r\n--x--',
    ):
        answer = label_server.ask(
            "PUT", "/datastore/label?image=photo", broken, content_type="multipart/form-data; boundary=x"
        )
        assert 400 <= answer.status < 500, broken
