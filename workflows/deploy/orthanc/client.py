# SPDX-License-Identifier: Apache-2.0
"""The calls to Orthanc's REST interface that the worker makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth

from lungseg.utils.errors import LungsegError, UsageError

# To connect, and between two packets.
_SECONDS = (5, 60)
_CHANGES_AT_A_TIME = 200
_CREDENTIALS = "set LUNGSEG_ORTHANC_USER and LUNGSEG_ORTHANC_PASSWORD, or give --credentials FILE"
_T = TypeVar("_T")


class UnavailableError(LungsegError):
    """Orthanc does not answer, or cannot answer this request now; try again later."""


class NotOrthancError(UnavailableError):
    """The answer is not from an Orthanc, but for example from a proxy that cannot reach it."""


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
            return self._read("/changes?last", lambda answer: int(answer["Last"]))
        except NotOrthancError as error:
            what, remedy = "this server does not answer like an Orthanc", "give the URL of Orthanc's REST interface"
            raise UsageError(what, self.url, remedy, code="not-orthanc") from error

    def changes(self, since: int) -> Iterator[Change]:
        """Yield all changes after the one numbered `since`, up to the latest."""
        done = False
        while not done:
            path = f"/changes?since={since}&limit={_CHANGES_AT_A_TIME}"
            changes, done, since = self._read(path, _read_changes)
            yield from changes

    def study_of(self, instance: str) -> tuple[str, bool]:
        """Return the study of an instance, and whether the study is stable."""
        return self._read(f"/instances/{instance}/study", lambda study: (study["ID"], bool(study["IsStable"])))

    def series(self, study: str) -> list[dict[str, Any]]:
        """Return the series of a study, with `MainDicomTags` and `Instances`."""
        return self._read(f"/studies/{study}/series", list)

    def metadata(self, instance: str) -> dict[str, str]:
        """Return Orthanc's metadata of an instance, such as `SopClassUid`."""
        return self._read(f"/instances/{instance}/metadata?expand", dict)

    def set_metadata(self, instance: str, name: str, value: str) -> None:
        """Store one metadata of an instance; numbers from 1024 on are free for applications."""
        self._call("PUT", f"/instances/{instance}/metadata/{name}", data=value.encode())

    def fetch(self, instance: str) -> bytes:
        """Return the DICOM file of an instance."""
        return self._call("GET", f"/instances/{instance}/file").content

    def store(self, file: Path) -> tuple[str, str]:
        """Store a DICOM file unless it is there, and return Orthanc's identifiers of the instance and its study."""
        content = file.read_bytes()
        return self._read("/instances", lambda stored: (stored["ID"], stored["ParentStudy"]), "POST", data=content)

    def delete(self, instance: str) -> None:
        """Delete an instance."""
        self._call("DELETE", f"/instances/{instance}")

    def modalities(self) -> list[str]:
        """Return the names of the modalities to which Orthanc can send."""
        return self._read("/modalities", list)

    def send(self, instances: list[str], modality: str) -> None:
        """Let Orthanc send instances to a modality, as a job of its own."""
        self._call("POST", f"/modalities/{modality}/store", json={"Resources": instances, "Synchronous": False})

    def resubmit_failed(self, modalities: list[str]) -> int:
        """Let Orthanc repeat the failed jobs that send to these modalities, and return their number."""
        titles = {self._read(f"/modalities/{name}/configuration", lambda entry: entry["AET"]) for name in modalities}
        failed = self._read("/jobs?expand", lambda jobs: [job["ID"] for job in jobs if _could_not_send(job, titles)])
        for job in failed:
            self._call("POST", f"/jobs/{job}/resubmit", data=b"{}")
        return len(failed)

    def _read(self, path: str, extract: Callable[[Any], _T], method: str = "GET", **content: Any) -> _T:
        """Return the result of `extract` on the JSON of the answer."""
        answer = self._call(method, path, **content)
        try:
            return extract(answer.json())
        except (ValueError, KeyError, TypeError) as error:
            raise self._not_orthanc(path) from error

    def _not_orthanc(self, path: str) -> NotOrthancError:
        what = f"the answer to {path.partition('?')[0]} is not from an Orthanc"
        return NotOrthancError(what, self.url, "check which server answers at this URL", code="not-orthanc")

    def _call(self, method: str, path: str, **content: Any) -> requests.Response:
        try:
            answer = self._session.request(method, self.url + path, timeout=_SECONDS, **content)
        except requests.RequestException as error:
            what = f"Orthanc does not answer ({type(error).__name__})"
            remedy = "start it, or check the URL"
            raise UnavailableError(what, self.url, remedy, code="orthanc-unavailable") from error
        if answer.ok:
            return answer
        status, target = answer.status_code, path.partition("?")[0]
        if status in (401, 403):
            what = f"Orthanc refuses user or password (status {status})"
            raise UsageError(what, self.url, _CREDENTIALS, code="orthanc-login")
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


def _read_changes(answer: dict[str, Any]) -> tuple[list[Change], bool, int]:
    """Return a part of the feed, whether it is the last part, and the number of its last change."""
    changes = [Change(int(change["Seq"]), change["ChangeType"], change["ID"]) for change in answer["Changes"]]
    return changes, bool(answer["Done"]), int(answer["Last"])


def _could_not_send(job: dict[str, Any], titles: set[str]) -> bool:
    ours = job["Type"] == "DicomModalityStore" and job["Content"].get("RemoteAet") in titles
    return bool(ours and job["State"] == "Failure")
