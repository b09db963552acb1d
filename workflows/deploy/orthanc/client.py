# SPDX-License-Identifier: Apache-2.0
"""The few calls to Orthanc's REST interface that the worker makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests

from lungseg.utils.errors import LungsegError, UsageError

# To connect, and between two packets.
_SECONDS = (5, 60)
_CHANGES_AT_A_TIME = 200
_CREDENTIALS = "set LUNGSEG_ORTHANC_USER and LUNGSEG_ORTHANC_PASSWORD, or give --credentials FILE"
_T = TypeVar("_T")


class UnavailableError(LungsegError):
    """Orthanc does not answer, or cannot do it now: worth another try later."""


class StrangerError(UnavailableError):
    """What answers is no Orthanc, as the page of a proxy that cannot reach it."""


class GoneError(LungsegError):
    """Orthanc does not have it any more."""


@dataclass(frozen=True)
class Change:
    """An entry of the change feed: its number, what happened, and Orthanc's identifier of what it happened to."""

    sequence: int
    kind: str
    resource: str


class Orthanc:
    """One Orthanc.

    Args:
        url: where its REST interface is, such as http://127.0.0.1:8042.
        credentials: user and password, or None.

    Raises:
        UsageError: the URL is none, or holds a password.
    """

    def __init__(self, url: str, credentials: tuple[str, str] | None = None) -> None:
        _check(url)
        self.url = url.rstrip("/")
        self._session = requests.Session()
        if credentials:
            # Orthanc's configuration is UTF-8; what is not that in the environment goes as it is.
            self._session.auth = tuple(text.encode("utf-8", "surrogateescape") for text in credentials)
        # Compressing pixels takes Orthanc longer than sending them.
        self._session.headers["Accept-Encoding"] = "identity"

    def last_change(self) -> int:
        """Return the sequence number of the latest change, 0 if there is none; the call to begin with.

        Raises:
            UsageError: there is no Orthanc at the URL.
        """
        try:
            return self._read("/changes?last", lambda answer: int(answer["Last"]))
        except StrangerError as error:
            what, remedy = "this does not answer as an Orthanc does", "give the URL of its REST interface"
            raise UsageError(what, self.url, remedy) from error

    def changes(self, since: int) -> Iterator[Change]:
        """Yield all changes after the one numbered `since`, as far as there are any now."""
        done = False
        while not done:
            path = f"/changes?since={since}&limit={_CHANGES_AT_A_TIME}"
            changes, done, since = self._read(path, _some_changes)
            yield from changes

    def study_of(self, instance: str) -> tuple[str, bool]:
        """Return the study that an instance belongs to, and whether it is stable."""
        return self._read(f"/instances/{instance}/study", lambda study: (study["ID"], bool(study["IsStable"])))

    def series(self, study: str) -> list[dict]:
        """Return the series of a study, with `MainDicomTags` and `Instances`."""
        return self._read(f"/studies/{study}/series", list)

    def metadata(self, instance: str) -> dict[str, str]:
        """Return what Orthanc knows of an instance, `SopClassUid` among it."""
        return self._read(f"/instances/{instance}/metadata?expand", dict)

    def set_metadata(self, instance: str, name: str, value: str) -> None:
        """Note something about an instance; numbers from 1024 on are for users."""
        self._call("PUT", f"/instances/{instance}/metadata/{name}", data=value.encode())

    def fetch(self, instance: str) -> bytes:
        """Return the DICOM file of an instance."""
        return self._call("GET", f"/instances/{instance}/file").content

    def store(self, file: Path) -> tuple[str, str]:
        """Store a DICOM file, unless it is there, and return Orthanc's identifiers of the instance and its study."""
        content = file.read_bytes()
        return self._read("/instances", lambda stored: (stored["ID"], stored["ParentStudy"]), "POST", data=content)

    def delete(self, instance: str) -> None:
        """Delete an instance."""
        self._call("DELETE", f"/instances/{instance}")

    def modalities(self) -> list[str]:
        """Return the names of the modalities that Orthanc can send to."""
        return self._read("/modalities", list)

    def send(self, instances: list[str], modality: str) -> None:
        """Let Orthanc send instances, by a job of its own."""
        self._call("POST", f"/modalities/{modality}/store", json={"Resources": instances, "Synchronous": False})

    def resubmit_failed(self, modalities: list[str]) -> int:
        """Let Orthanc try again what it could not send to these modalities, and return how many jobs these are."""
        titles = {self._read(f"/modalities/{name}/configuration", lambda told: told["AET"]) for name in modalities}
        failed = self._read("/jobs?expand", lambda jobs: [job["ID"] for job in jobs if _could_not_send(job, titles)])
        for job in failed:
            self._call("POST", f"/jobs/{job}/resubmit", data=b"{}")
        return len(failed)

    def _read(self, path: str, take: Callable[[Any], _T], method: str = "GET", **content) -> _T:
        """Return what `take` makes of the JSON that answers."""
        answer = self._call(method, path, **content)
        try:
            return take(answer.json())
        except (ValueError, KeyError, TypeError) as error:
            raise self._stranger(path) from error

    def _stranger(self, path: str) -> StrangerError:
        what = f"this is not Orthanc's answer to {path.partition('?')[0]}"
        return StrangerError(what, self.url, "check what answers in its place")

    def _call(self, method: str, path: str, **content) -> requests.Response:
        try:
            answer = self._session.request(method, self.url + path, timeout=_SECONDS, **content)
        except requests.RequestException as error:
            what = f"Orthanc does not answer ({type(error).__name__})"
            raise UnavailableError(what, self.url, "start it, or check the URL") from error
        if answer.ok:
            return answer
        if answer.status_code in (401, 403):
            raise UsageError(f"Orthanc does not let us in (status {answer.status_code})", self.url, _CREDENTIALS)
        if answer.status_code == 404 and path.startswith("/changes"):
            # Every Orthanc has it.
            raise self._stranger(path)
        if answer.status_code == 404 and path.startswith("/modalities/"):
            what = f"Orthanc does not have {path.partition('?')[0]}, or not what is to be sent"
            raise LungsegError(what, self.url, "add it to DicomModalities")
        if answer.status_code == 404:
            raise GoneError(f"Orthanc does not have {path.partition('?')[0]}", self.url, "nothing is to be done")
        if answer.status_code >= 500 or answer.status_code == 429:
            what = f"Orthanc cannot do it now (status {answer.status_code} for {path.partition('?')[0]})"
            raise UnavailableError(what, self.url, "see its log")
        what = f"Orthanc refuses {method} {path.partition('?')[0]} (status {answer.status_code})"
        raise LungsegError(what, self.url, "see its log")


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        # Raises for a host or port that cannot be.
        requests.Request("GET", url).prepare()
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        # What stands before an @ may be a password.
        where = url.rpartition("@")[2]
        raise UsageError("this is no URL of an Orthanc", where, "give one such as http://127.0.0.1:8042")
    if parts.username or parts.password:
        raise UsageError("a password does not belong in a URL, which others can read", parts.hostname, _CREDENTIALS)


def _some_changes(answer: dict) -> tuple[list[Change], bool, int]:
    """Return a part of the feed, whether it is the last one, and the number that it ends at."""
    changes = [Change(int(change["Seq"]), change["ChangeType"], change["ID"]) for change in answer["Changes"]]
    return changes, bool(answer["Done"]), int(answer["Last"])


def _could_not_send(job: dict, titles: set[str]) -> bool:
    ours = job["Type"] == "DicomModalityStore" and job["Content"].get("RemoteAet") in titles
    return ours and job["State"] == "Failure"
