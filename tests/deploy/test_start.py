# SPDX-License-Identifier: Apache-2.0
"""How `lungseg deploy watch` refuses to start, and how it waits when another server answers in Orthanc's place."""

from __future__ import annotations

import base64
import json
import logging
import shutil
import time
from io import BytesIO
from types import SimpleNamespace

import pytest
import requests
from foreign_code import IN_WHOLE_CONFIGS, spoil
from urllib3 import HTTPResponse

from lungseg.model.paths import bundle_root
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.workflows.deploy.orthanc import watch
from lungseg.workflows.deploy.orthanc.backlog import Backlog
from lungseg.workflows.deploy.orthanc.client import NotOrthancError, Orthanc

URL = "http://127.0.0.1:1"
PAGE = "<html>Sign in</html>"
NO_CHANGES = json.dumps({"Changes": [], "Done": True, "Last": 0})


@pytest.fixture
def answers(monkeypatch):
    """Answer with these statuses and texts instead of an Orthanc; returns the list of requests."""

    def give(*texts: tuple[int, str]) -> list[requests.PreparedRequest]:
        left, sent = list(texts), []

        def send(self, request: requests.PreparedRequest, **_) -> requests.Response:
            sent.append(request)
            answer = requests.Response()
            answer.status_code, text = left.pop(0)
            answer.raw = HTTPResponse(BytesIO(text.encode()), status=answer.status_code, preload_content=False)
            return answer

        monkeypatch.setattr(requests.Session, "send", send)
        return sent

    return give


@pytest.fixture
def refusal(tmp_path):
    """Start a worker that refuses to run, and return its error."""

    def start(url: str, **options) -> UsageError:
        with pytest.raises(UsageError) as refused:
            watch.watch(url, state=tmp_path / "state", **options)
        return refused.value

    return start


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1", "ftp://127.0.0.1", "http://", "http://[", "http://127.0.0.1:99999", "http://127.0.0.1:http"],
)
def test_an_invalid_url_is_refused(refusal, url):
    error = refusal(url)
    assert (error.code, error.where) == ("url-invalid", url)


def test_the_command_names_the_url_that_it_refuses(command, tmp_path):
    pytest.importorskip("holoscan", reason="the extra `deploy` is not installed")
    done = command("deploy", "watch", "--state", tmp_path / "state", "--orthanc", "ftp://127.0.0.1")
    assert done.status == 2
    assert done.sentence.startswith("lungseg: ftp://127.0.0.1: ")


@pytest.mark.parametrize(
    ("url", "code", "where"),
    [
        ("http://me:secret@127.0.0.1:1", "url-with-password", "127.0.0.1"),
        ("http://me:secret@[", "url-invalid", "["),
        ("ftp://me:secret@127.0.0.1", "url-invalid", "127.0.0.1"),
    ],
)
@pytest.mark.safety("password-shown")
def test_a_password_in_a_url_is_refused_and_not_repeated(refusal, url, code, where):
    error = refusal(url)
    assert (error.code, error.where) == (code, where)
    assert "secret" not in str(error)


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    "answer",
    [(404, "not found"), (200, PAGE), (200, "[]"), (200, "{}"), (200, '{"Last": "many"}'), (200, "null")],
    ids=str,
)
def test_a_server_that_is_not_an_orthanc_is_refused(refusal, answers, answer, dry_run):
    answers(answer)
    error = refusal(f"{URL}/dicom-web", dry_run=dry_run)
    assert (error.code, error.where) == ("not-orthanc", f"{URL}/dicom-web")


@pytest.mark.parametrize("password", ["p€", "pä", "p\udce9"])
def test_a_password_may_have_any_letters(refusal, answers, monkeypatch, password):
    """They are sent as UTF-8, which is the encoding of Orthanc's configuration, or as the bytes in the environment."""
    monkeypatch.setenv("LUNGSEG_ORTHANC_USER", "me")
    monkeypatch.setenv("LUNGSEG_ORTHANC_PASSWORD", password)
    sent = answers((401, ""))
    assert refusal(URL).code == "orthanc-login"
    credentials = base64.b64decode(sent[0].headers["Authorization"].removeprefix("Basic "))
    assert credentials == b"me:" + password.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("content", "mode", "code"),
    [
        (None, 0, "credentials-unreadable"),
        (b"me:secret", 0o644, "credentials-not-private"),
        ("me:pä".encode("latin-1"), 0o600, "credentials-not-utf8"),
        (b"secret", 0o600, "credentials-missing"),
    ],
)
@pytest.mark.safety("password-shown")
def test_a_file_of_credentials_that_cannot_be_used_is_refused(refusal, tmp_path, content, mode, code):
    file = tmp_path / "credentials"
    if content is not None:
        file.write_bytes(content)
        file.chmod(mode)
    error = refusal(URL, credentials_file=file)
    assert (error.code, error.where) == (code, file)
    assert "secret" not in str(error)


@pytest.mark.safety("odd-answer")
def test_it_waits_while_another_server_answers_in_orthancs_place(answers, monkeypatch, caplog):
    sent = answers((200, PAGE), (404, PAGE), (200, "{}"), (200, NO_CHANGES))
    pauses = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            raise KeyboardInterrupt

    # Not that of the whole process, in which other threads sleep too.
    monkeypatch.setattr(watch, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    worker = watch._Worker(Orthanc(URL), SimpleNamespace(send_to=[]), None, Backlog(0, 10))
    with caplog.at_level(logging.INFO, "lungseg"), pytest.raises(KeyboardInterrupt):
        worker.follow()
    assert pauses == [2, 4, 8, 1]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 3 + [logging.INFO]
    assert all(URL in record.getMessage() for record in caplog.records)
    assert len(sent) == 4


@pytest.mark.safety("password-refused")
def test_it_waits_while_the_password_is_refused(answers, monkeypatch, caplog):
    sent = answers((401, ""), (403, ""), (200, NO_CHANGES))
    pauses = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    # Not that of the whole process, in which other threads sleep too.
    monkeypatch.setattr(watch, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    worker = watch._Worker(Orthanc(URL), SimpleNamespace(send_to=[]), None, Backlog(0, 10))
    with caplog.at_level(logging.INFO, "lungseg"), pytest.raises(KeyboardInterrupt):
        worker.follow()
    assert pauses == [2, 4, 1]
    assert len(sent) == 3


@pytest.mark.parametrize(
    ("call", "arguments"),
    [("study_of", ["i"]), ("series", ["s"]), ("metadata", ["i"]), ("modalities", []), ("resubmit_failed", [["pacs"]])],
)
@pytest.mark.safety("odd-answer")
def test_each_answer_is_checked(answers, call, arguments):
    answers((200, PAGE))
    with pytest.raises(NotOrthancError):
        getattr(Orthanc(URL), call)(*arguments)


@pytest.mark.safety("foreign-config")
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_bundle_with_code_of_its_own_is_refused(answers, tmp_path, dry_run):
    pytest.importorskip("holoscan", reason="the extra `deploy` is not installed")
    root = shutil.copytree(bundle_root(), tmp_path / "bundle", ignore=shutil.ignore_patterns("docs"))
    spoil(root / "configs/inference.json", IN_WHOLE_CONFIGS["network as an expression"], tmp_path / "made")
    answers((200, NO_CHANGES))
    with pytest.raises(LungsegError) as refused:
        watch.watch(URL, root, state=tmp_path / "state", dry_run=dry_run)
    assert (refused.value.code, refused.value.where) == ("config-runs-code", root / "configs/inference.json")
    assert not (tmp_path / "made").exists()
