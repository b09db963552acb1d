# SPDX-License-Identifier: Apache-2.0
"""What `lungseg deploy watch` says where it cannot begin, and what it does when something else answers for Orthanc."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace

import pytest
import requests

from lungseg.workflows.deploy.orthanc import watch
from lungseg.workflows.deploy.orthanc.backlog import Backlog
from lungseg.workflows.deploy.orthanc.client import Orthanc, StrangerError

URL = "http://127.0.0.1:1"
PAGE = "<html>Sign in</html>"
NO_CHANGES = json.dumps({"Changes": [], "Done": True, "Last": 0})


@pytest.fixture
def answers(monkeypatch):
    """Let these answers, status and text, come instead of those of an Orthanc; returns the requests."""

    def give(*texts: tuple[int, str]) -> list[requests.PreparedRequest]:
        left, sent = list(texts), []

        def send(self, request: requests.PreparedRequest, **_) -> requests.Response:
            sent.append(request)
            answer = requests.Response()
            answer.status_code, text = left.pop(0)
            answer._content, answer.encoding = text.encode(), "utf-8"
            return answer

        monkeypatch.setattr(requests.Session, "send", send)
        return sent

    return give


@pytest.fixture
def start(command, tmp_path):
    """Call `lungseg deploy watch`."""
    pytest.importorskip("holoscan", reason="the extra `deploy` is not installed")

    def call(*arguments: object):
        return command("deploy", "watch", "--state", tmp_path / "state", *arguments)

    return call


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1", "ftp://127.0.0.1", "http://", "http://[", "http://127.0.0.1:99999", "http://127.0.0.1:http"],
)
def test_what_is_no_url_is_refused(start, url):
    done = start("--orthanc", url)
    assert done.status == 2
    assert done.sentence == f"lungseg: {url}: this is no URL of an Orthanc; give one such as http://127.0.0.1:8042."


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://me:secret@127.0.0.1:1", "127.0.0.1: a password does not belong in a URL"),
        ("http://me:secret@[", "[: this is no URL of an Orthanc"),
        ("ftp://me:secret@127.0.0.1", "127.0.0.1: this is no URL of an Orthanc"),
    ],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(start, url, reason):
    done = start("--orthanc", url)
    assert done.status == 2
    assert done.sentence.startswith(f"lungseg: {reason}")
    assert "secret" not in done.sentence


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    "answer",
    [(404, "not found"), (200, PAGE), (200, "[]"), (200, "{}"), (200, '{"Last": "many"}'), (200, "null")],
    ids=str,
)
def test_what_is_no_orthanc_is_told(start, answers, answer, dry_run):
    answers(answer)
    done = start("--orthanc", f"{URL}/dicom-web", *dry_run)
    assert done.status == 2
    what = "this does not answer as an Orthanc does; give the URL of its REST interface"
    assert done.sentence == f"lungseg: {URL}/dicom-web: {what}."


@pytest.mark.parametrize("password", ["p€", "pä", "p\udce9"])
def test_a_password_may_have_any_letters(start, answers, monkeypatch, password):
    """As UTF-8, which Orthanc's configuration is in, or as they are in the environment."""
    monkeypatch.setenv("LUNGSEG_ORTHANC_USER", "me")
    monkeypatch.setenv("LUNGSEG_ORTHANC_PASSWORD", password)
    sent = answers((401, ""))
    done = start("--orthanc", URL)
    assert done.status == 2
    assert "Orthanc does not let us in (status 401)" in done.sentence
    told = base64.b64decode(sent[0].headers["Authorization"].removeprefix("Basic "))
    assert told == b"me:" + password.encode("utf-8", "surrogateescape")


def test_credentials_that_are_not_there_are_told(start):
    done = start("--orthanc", URL, "--credentials", "/nonexistent")
    assert done.status == 2
    assert "/nonexistent: the credentials cannot be read (No such file or directory)" in done.sentence


def test_credentials_in_another_encoding_are_refused(start, tmp_path):
    file = tmp_path / "credentials"
    file.write_bytes("me:pä".encode("latin-1"))
    file.chmod(0o600)
    done = start("--orthanc", URL, "--credentials", file)
    assert done.status == 2
    assert done.sentence == f"lungseg: {file}: this file of credentials is no text in UTF-8; save it as UTF-8."


def test_what_answers_for_orthanc_meanwhile_is_waited_for(answers, monkeypatch):
    sent = answers((200, PAGE), (404, PAGE), (200, "{}"), (200, NO_CHANGES))
    pauses, lines = [], []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(watch.time, "sleep", sleep)
    worker = watch._Worker(Orthanc(URL), SimpleNamespace(send_to=[]), None, Backlog(0, 10), lines.append)
    with pytest.raises(KeyboardInterrupt):
        worker.follow()
    assert pauses == [2, 4, 8, 1]
    assert lines == [f"{URL}: this is not Orthanc's answer to /changes; check what answers in its place."] * 3
    assert len(sent) == 4


@pytest.mark.parametrize(
    ("call", "arguments"),
    [("study_of", ["i"]), ("series", ["s"]), ("metadata", ["i"]), ("modalities", []), ("resubmit_failed", [["pacs"]])],
)
def test_each_answer_is_looked_at(answers, call, arguments):
    answers((200, PAGE))
    with pytest.raises(StrangerError):
        getattr(Orthanc(URL), call)(*arguments)
