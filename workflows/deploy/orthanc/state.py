# SPDX-License-Identifier: Apache-2.0
"""The worker's state: a sequence number in a folder that one worker at a time may use."""

from __future__ import annotations

import fcntl
import json
import os
from os import PathLike
from pathlib import Path
from urllib.parse import quote, urlsplit

from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import atomic_path, usable_folder


def default_folder(url: str) -> Path:
    """Return the folder for the worker beside the Orthanc at `url`, the same for every worker of this user."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    parts = urlsplit(url)
    names = [parts.hostname, str(parts.port or parts.scheme)]
    # Several may lie behind one proxy.
    if path := parts.path.strip("/"):
        names.append(quote(path, safe=""))
    return Path(home) / "lungseg" / "_".join(names)


class State:
    """Up to where the change feed is done.

    Args:
        folder: is made; holds `sequence.json`, `lock` and, while a study is worked on, `work`.

    Raises:
        UsageError: another worker uses the folder, or it cannot be written to.
    """

    def __init__(self, folder: str | PathLike) -> None:
        self.folder = usable_folder(folder)
        self._file = self.folder / "sequence.json"
        # The system lets go of it however the process ends.
        self._lock = open(self.folder / "lock", "w")  # noqa: SIM115
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                "another worker is at work for this Orthanc", self.folder, "stop it first, or give another --state"
            ) from error

    def load(self) -> int | None:
        """Return the number, or None before the first one is saved.

        Raises:
            LungsegError: the file is damaged.
        """
        return read_sequence(self.folder)

    def save(self, sequence: int) -> None:
        """Write the number, whole or not at all.

        Raises:
            LungsegError: the disk is full, or the like.
        """
        with atomic_path(self._file) as temporary:
            temporary.write_text(json.dumps({"sequence": sequence}) + "\n", encoding="utf-8")

    def close(self) -> None:
        """Let another worker in."""
        self._lock.close()


def read_sequence(folder: Path) -> int | None:
    """Return the number that a folder holds, or None; see :meth:`State.load`."""
    file = folder / "sequence.json"
    try:
        return int(json.loads(file.read_text(encoding="utf-8"))["sequence"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LungsegError("the worker's state cannot be read", file, "remove it and start with --since") from error
