# SPDX-License-Identifier: Apache-2.0
"""The calls to Orthanc's REST interface that the worker makes.

The server at the URL may be false, or its answers may be changed on the way: it is never followed to another address,
and its answers are bounded in size and time and have the types that are expected.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import HTTPError

from lungseg.io.limits import MAX_BYTES
from lungseg.utils.errors import LungsegError, UsageError

# To connect, and between two packets; and for a whole answer.
_SECONDS = (5, 60)
_ANSWER_SECONDS = 600
# Bytes of an answer in JSON: the largest ones list the instances of a series.
_MAX_ANSWER = 64 * 2**20
_PART = 2**16
# The identifiers are the parts of a SHA-1. They become names of files.
_IDENTIFIER = re.compile("[0-9a-f]{8}(-[0-9a-f]{8}){4}")
# Earlier versions have the holes CVE-2026-5437 to CVE-2026-5445 (CERT/CC).
_SAFE_VERSION = (1, 12, 11)
_CHANGES_AT_A_TIME = 200
_CREDENTIALS = "set LUNGSEG_ORTHANC_USER and LUNGSEG_ORTHANC_PASSWORD, or give --credentials FILE"
_T = TypeVar("_T")


class UnavailableError(LungsegError):
    """Orthanc does not answer, or cannot answer this request now; try again later."""


class NotOrthancError(UnavailableError):
    """The answer is not from an Orthanc, but for example from a proxy that cannot reach it."""


class LoginError(UsageError):
    """Orthanc refuses user or password."""


class GoneError(LungsegError):
    """The study or instance is no longer in Orthanc."""


@dataclass(frozen=True)
class Change:
    """An entry of the change feed.

    Attributes:
        sequence: its number.
        kind: Orthanc's name of the event, such as "StableStudy".
        resource: Orthanc's identifier of the study, series or instance.
    """

    sequence: int
    kind: str
    resource: str


class Orthanc:
    """An Orthanc.

    Args:
        url: of its REST interface, such as http://127.0.0.1:8042.
        credentials: user and password, or None.

    Raises:
        UsageError: the URL is not valid, or holds a password.
    """

    def __init__(self, url: str, credentials: tuple[str, str] | None = None) -> None:
        _check_url(url)
        self.url = url.rstrip("/")
        self._session = requests.Session()
        if credentials:
            # Orthanc reads its configuration as UTF-8; other bytes in the environment are sent unchanged.
            user, password = (text.encode("utf-8", "surrogateescape") for text in credentials)
            self._session.auth = HTTPBasicAuth(user, password)
        # Orthanc takes longer to compress pixels than to send them.
        self._session.headers["Accept-Encoding"] = "identity"

    def last_change(self) -> int:
        """Return the sequence number of the latest change, 0 without any; call it first.

        Raises:
            UsageError: there is no Orthanc at the URL.
        """
        try:
            return self._read("/changes?last", lambda answer: _whole(answer["Last"]))
        except NotOrthancError as error:
            what, remedy = "this server does not answer like an Orthanc", "give the URL of Orthanc's REST interface"
            raise UsageError(what, self.url, remedy, code="not-orthanc") from error

    def changes(self, since: int) -> Iterator[Change]:
        """Yield all changes after the one numbered `since`, up to the latest."""
        done = False
        while not done:
            path = f"/changes?since={since}&limit={_CHANGES_AT_A_TIME}"
            changes, done, last = self._read(path, _read_changes)
            yield from changes
            if not done and last <= since:
                # It would be asked the same for ever.
                raise self._not_orthanc(path)
            since = last

    def study_of(self, instance: str) -> tuple[str, bool]:
        """Return the study of an instance, and whether the study is stable."""
        path = f"/instances/{instance}/study"
        return self._read(path, lambda study: (_identifier(study["ID"]), bool(study["IsStable"])))

    def series(self, study: str) -> list[tuple[dict[str, str], list[str]]]:
        """Return the DICOM tags and the instances of each series of a study."""
        return self._read(
            f"/studies/{study}/series",
            lambda series: [
                (_texts(one["MainDicomTags"]), [_identifier(name) for name in one["Instances"]]) for one in series
            ],
        )

    def metadata(self, instance: str) -> dict[str, str]:
        """Return Orthanc's metadata of an instance, such as `SopClassUid`."""
        return self._read(f"/instances/{instance}/metadata?expand", _texts)

    def version(self) -> str:
        """Return the version that Orthanc states."""
        return self._read("/system", lambda system: str(system["Version"]))

    def set_metadata(self, instance: str, name: str, value: str) -> None:
        """Store one metadata of an instance; numbers from 1024 on are free for applications."""
        self._call("PUT", f"/instances/{instance}/metadata/{name}", data=value.encode())

    def fetch(self, instance: str) -> bytes:
        """Return the DICOM file of an instance."""
        return self._call("GET", f"/instances/{instance}/file", limit=MAX_BYTES)

    def store(self, file: Path) -> tuple[str, str]:
        """Store a DICOM file unless it is there, and return Orthanc's identifiers of the instance and its study."""
        content = file.read_bytes()

        def extract(stored: dict[str, Any]) -> tuple[str, str]:
            return _identifier(stored["ID"]), _identifier(stored["ParentStudy"])

        return self._read("/instances", extract, "POST", data=content)

    def delete(self, instance: str) -> None:
        """Delete an instance."""
        self._call("DELETE", f"/instances/{instance}")

    def modalities(self) -> list[str]:
        """Return the names of the modalities to which Orthanc can send."""
        return self._read("/modalities", lambda names: [str(name) for name in names])

    def send(self, instances: list[str], modality: str) -> None:
        """Let Orthanc send instances to a modality, as a job of its own."""
        self._call("POST", f"/modalities/{modality}/store", json={"Resources": instances, "Synchronous": False})

    def resubmit_failed(self, modalities: list[str]) -> int:
        """Let Orthanc repeat the failed jobs that send to these modalities, and return their number."""
        titles = {
            self._read(f"/modalities/{name}/configuration", lambda entry: str(entry["AET"])) for name in modalities
        }
        failed = self._read(
            "/jobs?expand", lambda jobs: [_job(job["ID"]) for job in jobs if _could_not_send(job, titles)]
        )
        for job in failed:
            self._call("POST", f"/jobs/{job}/resubmit", data=b"{}")
        return len(failed)

    def _read(self, path: str, extract: Callable[[Any], _T], method: str = "GET", **content: Any) -> _T:
        """Return the result of `extract` on the JSON of the answer."""
        answer = self._call(method, path, **content)
        try:
            return extract(json.loads(answer))
        except Exception as error:  # text that a stranger chose can be nested too deep, or lead to any other error
            raise self._not_orthanc(path) from error

    def _not_orthanc(self, path: str) -> NotOrthancError:
        what = f"the answer to {path.partition('?')[0]} is not from an Orthanc"
        return NotOrthancError(what, self.url, "check which server answers at this URL", code="not-orthanc")

    def _call(self, method: str, path: str, limit: int = _MAX_ANSWER, **content: Any) -> bytes:
        """Return the bytes of the answer, at most `limit`."""
        until = time.monotonic() + _ANSWER_SECONDS
        try:
            # A redirect would carry a patient's data to another address.
            options: dict[str, Any] = {"timeout": _SECONDS, "allow_redirects": False, "stream": True}
            with self._session.request(method, self.url + path, **options, **content) as answer:
                if answer.status_code < 300:
                    return b"".join(self._parts(answer, path, limit, until))
                status = answer.status_code
        except (requests.RequestException, OSError, HTTPError) as error:
            what = f"Orthanc does not answer ({type(error).__name__})"
            remedy = "start it, or check the URL"
            raise UnavailableError(what, self.url, remedy, code="orthanc-unavailable") from error
        target = path.partition("?")[0]
        if status < 400:
            what = f"the answer to {target} leads to another address, which no Orthanc does"
            raise NotOrthancError(what, self.url, "give the URL of Orthanc itself", code="not-orthanc")
        if status in (401, 403):
            what = f"Orthanc refuses user or password (status {status})"
            raise LoginError(what, self.url, _CREDENTIALS, code="orthanc-login")
        if status == 404 and path.startswith("/changes"):
            # Every Orthanc has this path.
            raise self._not_orthanc(path)
        if status == 404 and path.startswith("/modalities/"):
            what = f"Orthanc does not have {target}, or not the objects to send"
            raise LungsegError(what, self.url, "add the modality to DicomModalities", code="modality-unknown")
        if status == 404:
            raise GoneError(f"Orthanc does not have {target}", self.url, code="orthanc-gone")
        if status >= 500 or status == 429:
            what = f"Orthanc cannot do this now (status {status} for {target})"
            raise UnavailableError(what, self.url, "read its log", code="orthanc-unavailable")
        what = f"Orthanc refuses {method} {target} (status {status})"
        raise LungsegError(what, self.url, "read its log", code="orthanc-refused")

    def _parts(self, answer: requests.Response, path: str, limit: int, until: float) -> Iterator[bytes]:
        """Yield the bytes of an answer as they arrive."""
        size = 0
        # One that arrives a byte at a time would fill a part of fixed size for ever.
        while part := answer.raw.read1(_PART, decode_content=True):
            size += len(part)
            if size > limit or time.monotonic() > until:
                much = f"more than {limit} bytes" if size > limit else f"more than {_ANSWER_SECONDS} seconds"
                what = f"the answer to {path.partition('?')[0]} takes {much}"
                raise NotOrthancError(what, self.url, "check which server answers there", code="not-orthanc")
            yield part


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        # Raises for an impossible host or port.
        requests.Request("GET", url).prepare()
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        # The part before an @ may be a password.
        where = url.rpartition("@")[2]
        what, remedy = "this is not the URL of an Orthanc", "give one such as http://127.0.0.1:8042"
        raise UsageError(what, where, remedy, code="url-invalid")
    if parts.username or parts.password:
        what = "a password must not be in a URL, which other users of this machine can read"
        raise UsageError(what, parts.hostname, _CREDENTIALS, code="url-with-password")


def is_safe(version: str) -> bool:
    """Return whether an Orthanc of this version has none of the holes that were published in 2026."""
    numbers = re.findall("[0-9]+", version)[:3]
    # A build from the repository is called "mainline".
    return not numbers or tuple(int(number[:9]) for number in numbers) >= _SAFE_VERSION


def _identifier(value: object) -> str:
    if not (isinstance(value, str) and _IDENTIFIER.fullmatch(value)):
        raise ValueError("not an identifier of Orthanc")
    return value


def _job(value: object) -> str:
    if not (isinstance(value, str) and re.fullmatch("[0-9a-f-]{1,64}", value)):
        raise ValueError("not a job of Orthanc")
    return value


def _texts(value: dict[object, object]) -> dict[str, str]:
    """Return the texts of an object by their names."""
    return {str(name): text for name, text in value.items() if isinstance(text, str)}


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("not a whole number")
    return value


def _read_changes(answer: dict[str, Any]) -> tuple[list[Change], bool, int]:
    """Return a part of the feed, whether it is the last part, and the number of its last change."""
    changes = [
        Change(_whole(change["Seq"]), str(change["ChangeType"]), change["ID"])
        for change in answer["Changes"]
        # Changes of other resources, such as jobs, have identifiers of another form; none of them is of use.
        if isinstance(change["ID"], str) and _IDENTIFIER.fullmatch(change["ID"])
    ]
    return changes, bool(answer["Done"]), _whole(answer["Last"])


def _could_not_send(job: dict[str, Any], titles: set[str]) -> bool:
    ours = job["Type"] == "DicomModalityStore" and job["Content"].get("RemoteAet") in titles
    return bool(ours and job["State"] == "Failure")
