# SPDX-License-Identifier: Apache-2.0
"""The state of the worker: what is done and what failed, in a folder that one worker at a time may use.

Folder and files are those of version 0.3, so that a worker continues where a worker of 0.3 ended.
"""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from urllib.parse import quote, urlsplit

from filelock import FileLock, Timeout
from platformdirs import user_state_path

from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import atomic_path, private_folder, writing_failed

_TRIES = "tries.json"


def default_folder(url: str) -> Path:
    """Return the folder for the state of a worker beside the Orthanc at `url`, one per user and URL."""
    parts = urlsplit(url)
    names = [parts.hostname or "", str(parts.port or parts.scheme)]
    # Several Orthancs may lie behind one proxy.
    if path := parts.path.strip("/"):
        names.append(quote(path, safe=""))
    return user_state_path("lungseg", appauthor=False) / "_".join(names)


class State:
    """The number of the last change in the feed up to which everything is done, and the tries that came to nothing.

    Args:
        folder: is created, and closed to other users; holds `sequence.json`, `tries.json`, `lock` and, while a study is
            processed, `work` with its radiographs.

    Raises:
        UsageError: another worker uses the folder, it is not writable, or it is a folder for everybody.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = private_folder(folder)
        # On Linux it calls flock, as version 0.3 did, so that workers of both versions exclude each other. The system
        # releases the lock however the process ends.
        self._lock = FileLock(self.folder / "lock", timeout=0)
        try:
            self._lock.acquire()
        except Timeout as error:
            what, remedy = "another worker for this Orthanc is running", "stop it first, or give another --state"
            raise UsageError(what, self.folder, remedy, code="worker-running") from error
        except OSError as error:
            raise writing_failed(error, self.folder / "lock") from error
        self._tries = _read_tries(self.folder / _TRIES)

    def tries(self, resource: str) -> int:
        """Return how often a study or an instance was begun and not ended, by this worker and those before it."""
        return self._tries.get(resource, 0)

    def begin(self, resource: str) -> None:
        """Note on the disk that a study or an instance is under way, for the case that it ends the process.

        Raises:
            LungsegError: the file could not be written.
        """
        self._tries[resource] = self.tries(resource) + 1
        self._save_tries()

    def end(self, resource: str) -> None:
        """Forget the tries of a study or an instance.

        Raises:
            LungsegError: the file could not be written.
        """
        if self._tries.pop(resource, None) is not None:
            self._save_tries()

    def _save_tries(self) -> None:
        with atomic_path(self.folder / _TRIES) as temporary:
            temporary.write_text(json.dumps(self._tries) + "\n", encoding="utf-8")

    def load(self) -> int | None:
        """Return the number, or None before a number was saved.

        Raises:
            LungsegError: the file is damaged.
        """
        return read_sequence(self.folder)

    def save(self, sequence: int) -> None:
        """Write the number; the file is replaced as a whole.

        Raises:
            LungsegError: the file could not be written, for example because the disk is full.
        """
        with atomic_path(self.folder / "sequence.json") as temporary:
            temporary.write_text(json.dumps({"sequence": sequence}) + "\n", encoding="utf-8")

    def close(self) -> None:
        """Release the lock."""
        self._lock.release()


def read_sequence(folder: Path) -> int | None:
    """Return the number in a folder, or None; see :meth:`State.load`."""
    file = folder / "sequence.json"
    try:
        return int(json.loads(file.read_text(encoding="utf-8"))["sequence"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        what, remedy = "the state of the worker cannot be read", "remove this file and start with --since"
        raise LungsegError(what, file, remedy, code="state-unreadable") from error


def _read_tries(file: Path) -> dict[str, int]:
    """Return the tries; none if the file is missing or damaged, since they only save time."""
    try:
        tries = json.loads(file.read_text(encoding="utf-8"))
        return {str(resource): int(number) for resource, number in tries.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
