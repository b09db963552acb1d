# SPDX-License-Identifier: Apache-2.0
"""What is done already: a second run of `lungseg predict` skips it."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from glob import glob
from pathlib import Path
from typing import get_type_hints

from lungseg.report.table import Row
from lungseg.utils.files import writing_failed

_KEYS = {"name": str, "content": str | None, "settings": str, "time": int, "row": dict | None}
# Earlier versions did not note them.
_LATER_KEYS = {"source": str | None, "kinds": list | None, "model": str | None}
_ROW = get_type_hints(Row)


def content_hash(path: Path) -> str | None:
    """Return the SHA-256 of a file's content, in hex; None where there is no regular file that can be read."""
    try:
        # Opening a pipe would wait for its writer for ever.
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def sources(folder: Path) -> dict[str, tuple[str, str]]:
    """Return, for the names of the results in a folder, the real path and the content's hash of what they are of.

    Earlier versions noted a file as it was named: from which folder, and so which file it is, may not be known.
    """
    entries = _latest(folder)
    files = {name: entry["source"] or entry["row"]["file"] for name, entry in entries.items()}
    return {
        name: (os.path.realpath(file), entries[name]["content"]) for name, file in files.items() if os.path.isabs(file)
    }


class ResultRecords:
    """`done.jsonl`: a line for each finished file, with its content's hash, what it was done with, and its row.

    A line also tells where the file lies and of which kinds its results are. Lines are only appended, and a damaged
    one, as a power cut leaves it, counts for nothing; of several lines about a file the latest counts. Processes that
    share a folder have a file each. Methods may be called from threads.

    Args:
        folder: the results' folder.
        settings: all that the results depend on besides the input, as JSON can hold it; `kinds` are those that are
            wanted, on which no result depends.
        part: number of this process among those that share the folder.
    """

    def __init__(self, folder: Path, settings: Mapping, part: int = 0) -> None:
        self.path = folder / ("done.jsonl" if part == 0 else f"done.{part}.jsonl")
        self._settings = _hash(settings)
        self._model = _hash({name: value for name, value in settings.items() if name != "kinds"})
        self._lock = threading.Lock()
        self._latest = _latest(folder)

    def find(self, stem: Path, content: str | None) -> Row | None:
        """Return the row of the results called `stem` if they were made from this content with these settings."""
        entry = self._latest.get(str(stem))
        if entry is None or content is None or (entry["content"], entry["settings"]) != (content, self._settings):
            return None
        return Row(**entry["row"])

    def is_of(self, stem: Path, content: str | None) -> bool:
        """Say whether the results called `stem`, of whatever kinds, were made from this content by the same model."""
        entry = self._latest.get(str(stem))
        known = entry is not None and content is not None
        return known and (entry["content"], entry["model"]) == (content, self._model)

    def kinds(self, stem: Path) -> Sequence[str] | None:
        """Return the kinds of output that are there of `stem`; None where an earlier version did not note them."""
        entry = self._latest.get(str(stem))
        return entry["kinds"] if entry else ()

    def forget(self, stem: Path) -> None:
        """Note, before anything is written, that what is there of `stem` is no longer what it was.

        Raises:
            LungsegError: the disk is full, or the like.
        """
        if str(stem) in self._latest:
            self._append(stem, None, None)
            del self._latest[str(stem)]

    def add(self, stem: Path, content: str, row: Row, kinds: Sequence[str] | None = None) -> None:
        """Note that the results called `stem`, of these kinds, are written, from this content.

        Raises:
            LungsegError: the disk is full, or the like.
        """
        self._append(stem, content, asdict(row), source=os.path.realpath(row.file), kinds=kinds)

    def _append(self, stem: Path, content: str | None, row: dict | None, **more) -> None:
        entry = {"name": str(stem), "content": content, "settings": self._settings, "time": time.time_ns(), "row": row}
        entry["model"] = self._model
        line = json.dumps(entry | more).encode() + b"\n"
        try:
            with self._lock, self.path.open("ab+") as file:
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":
                        line = b"\n" + line
                file.write(line)
        except OSError as error:
            raise writing_failed(error, self.path) from error


def _hash(settings: Mapping) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _latest(folder: Path) -> dict[str, dict]:
    """Return name -> entry of what is there."""
    entries = (entry for name in glob("done*.jsonl", root_dir=folder) for entry in _entries(folder / name))
    latest = {entry["name"]: entry for entry in sorted(entries, key=lambda entry: entry["time"])}
    return {name: entry for name, entry in latest.items() if entry["row"] is not None}


def _entries(file: Path) -> Iterator[dict]:
    with file.open("rb") as lines:
        for line in lines:
            # What is cut off is no JSON, and what has other columns is of another version.
            with suppress(ValueError, TypeError, KeyError):
                entry = json.loads(line)
                entry = {key: entry[key] for key in _KEYS} | {key: entry.get(key) for key in _LATER_KEYS}
                if _is_sound(entry):
                    yield entry


def _is_sound(entry: dict) -> bool:
    """Say whether everything is of its type, as far down as somebody reads it.

    Raises:
        TypeError: the row has other columns.
    """
    if not all(isinstance(entry[key], kind) for key, kind in (_KEYS | _LATER_KEYS).items()):
        return False
    if not all(isinstance(kind, str) for kind in entry["kinds"] or ()):
        return False
    columns = vars(Row(**entry["row"])) if entry["row"] is not None else {}
    return all(isinstance(value, _ROW[name]) for name, value in columns.items())
