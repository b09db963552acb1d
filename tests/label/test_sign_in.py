# SPDX-License-Identifier: Apache-2.0
"""A server for others: roles from a realm, sign-in over HTTP and in the page, and a proxy."""

from __future__ import annotations

import numpy as np
import pytest
from browser_support import Browser, needs_browser
from label_support import MODEL, LabelServer, png
from realm_support import running_realm

PROXY = "lungs.example:8443"


@pytest.fixture(scope="module")
def server(label_studies, tmp_path_factory):
    """A server that asks a realm of its own."""
    work = tmp_path_factory.mktemp("work")
    with running_realm() as realm:
        variables = {"MONAI_LABEL_AUTH_ENABLE": "true", "MONAI_LABEL_AUTH_REALM_URI": realm.url}
        variables["LUNGSEG_LABEL_PUBLIC_HOST"] = PROXY
        with LabelServer(label_studies, "--workspace", work, environment=variables) as running:
            yield running


def sign_in(server, user: str, password: str):
    body = f"username={user}&password={password}".encode()
    return server.ask("POST", "/auth/token", body, content_type="application/x-www-form-urlencoded")


def as_user(server, user: str) -> dict[str, str]:
    return {"authorization": f"Bearer {sign_in(server, user, f'{user}%27s+secret').json['access_token']}"}


@pytest.mark.safety("role")
def test_the_roles_decide(server):
    ann, chief = as_user(server, "ann"), as_user(server, "chief")
    studies = server.ask("GET", "/lungseg/studies", **ann)
    assert studies.status == 200
    assert studies.json
    assert server.ask("GET", "/auth/token/valid", **ann).json["username"] == "ann"
    assert server.ask("POST", "/lungseg/versions/0/activate", b"", **ann).status == 403
    assert server.ask("POST", f"/train/{MODEL}", b"{}", content_type="application/json", **ann).status == 403
    assert server.ask("POST", "/lungseg/versions/0/activate", b"", **chief).status == 200
    infer = f"/infer/{MODEL}?image={studies.json[0]['id']}&output=json"
    body = b"params=%7B%22save_label%22%3Atrue%2C%22label_tag%22%3A%22tried%22%7D"
    form = {"content_type": "application/x-www-form-urlencoded"}
    assert server.ask("POST", infer, b"", **form, **chief).status == 200
    assert server.ask("POST", infer, body, **form, **ann).status == 200
    saving = server.ask("POST", infer, body, **form, **chief)
    assert (saving.status, "monailabel-annotator" in saving.detail) == (403, True)


@pytest.mark.safety("same-study-twice")
def test_who_reserved_and_who_saved_is_known(server):
    ann, chief = as_user(server, "ann"), as_user(server, "chief")
    place = "/lungseg/studies/photo/reservation?client_id="
    assert server.ask("PUT", f"{place}1", **ann).json["reserved_by"] is None
    assert server.ask("PUT", f"{place}2", **ann).json["reserved_by"] == "ann"  # in another window
    assert server.ask("PUT", f"{place}1", **chief).json["reserved_by"] == "ann"
    assert server.ask("DELETE", f"{place}1", **chief).status == 200
    assert server.ask("PUT", f"{place}1", **chief).json["reserved_by"] == "ann"
    server.ask("DELETE", f"{place}1", **ann)
    labels = server.ask("POST", f"/infer/{MODEL}?image=photo&output=image", b"", **ann).body
    files = {"label": ("label.png", labels)}
    saved = server.form("PUT", "/datastore/label", files=files, headers=ann, image="photo", tag="signed")
    assert saved.status == 200
    labels = png(np.zeros((180, 220), np.uint8))
    headers = {**ann, "If-None-Match": "*"}
    files = {"label": ("label.png", labels)}
    refused = server.form("PUT", "/datastore/label", files=files, headers=headers, image="photo", tag="signed")
    assert (refused.status, refused.json["user"], refused.etag) == (412, "ann", saved.etag)


def test_the_proxys_page_is_the_servers_own(server):
    path, own = f"/infer/{MODEL}?image=photo&output=json", f"https://{PROXY}"
    ann = as_user(server, "ann")
    assert server.ask("GET", "/lungseg/studies", Host=PROXY, **ann).status == 200
    assert server.ask("POST", path, b"", Host=PROXY, Origin=own, **ann).status == 200
    assert server.ask("POST", path, b"", Origin=server.url, **ann).status == 200  # without the proxy
    for origin in ("https://elsewhere.example", "https://lungs.example", server.url, "null"):
        assert server.ask("POST", path, b"", Host=PROXY, Origin=origin, **ann).status == 403
    for origin in ("https://elsewhere.example", own):
        assert server.ask("POST", path, b"", Host="elsewhere.example", Origin=origin, **ann).status == 403
    for host in ("elsewhere.example", "lungs.example", "127.0.0.1.elsewhere.example"):
        assert server.ask("GET", "/lungseg/studies", Host=host, **ann).status == 403


@pytest.mark.safety("no-token")
def test_only_tokens_of_the_realm_are_accepted(server):
    wrong = sign_in(server, "ann", "guessed")
    assert (wrong.status, wrong.detail) == (401, "the user or the password is wrong; try again.")
    good = as_user(server, "ann")["authorization"]
    for token in (good[:-4] + "AAAA", "Bearer x", "Bearer eyJhbGciOiJub25lIn0.e30."):
        answer = server.ask("GET", "/lungseg/studies", authorization=token)
        assert (answer.status, answer.detail) == (401, "the token is invalid or has expired; sign in.")


@needs_browser
def test_the_page_asks_until_it_is_let_in(server, tmp_path):
    browser = Browser(tmp_path)

    def try_with(password: str, message: str) -> None:
        browser.wait_for(lambda: browser.run("return document.getElementById('login').open"))
        for name, value in (("username", "ann"), ("password", password)):
            browser.run("document.querySelector(`#login [name=${arguments[0]}]`).value = arguments[1]", name, value)
        browser.click("#login button")
        browser.wait_for(lambda: browser.run("return document.getElementById('login-error').textContent") == message)

    try:
        browser.open(f"{server.url}/lungseg/")
        try_with("guessed", "the user or the password is wrong; try again.")
        try_with("ann's secret", "")
        browser.wait_for(lambda: browser.run("return document.querySelectorAll('#studies button').length"))
        assert not browser.run("return document.getElementById('login').open")
    finally:
        browser.close()
