# SPDX-License-Identifier: Apache-2.0
"""The record of results: one append-only file per process, from which a later run knows what is done."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

from lungseg.report.table import Row
from lungseg.utils.files import writing_failed

_FILE = re.compile(r"records(\.\d+)?\.jsonl")
_OLDER_FILE = re.compile(r"done(\.\d+)?\.jsonl")
_LINE = {"event": str, "name": str, "time": int}
_EVENTS: dict[str, dict[str, type]] = {
    "result": {"content": str, "model": str, "source": str, "row": dict, "kinds": list, "refused": dict},
    "writing": {"kinds": list},
    # For people: failed inputs are tried again.
    "failure": {"row": dict},
}
_ROW = get_type_hints(Row)


@dataclass(frozen=True)
class Entry:
    """The recorded facts on one radiograph's results; all are empty for an unknown radiograph.

    Attributes:
        content: SHA-256 of the input's content.
        model: hash of everything else that the results depend on.
        source: real path of the input.
        row: its line of the report; `reason` is without that of `refused`.
        kinds: kinds of output whose files hold.
        refused: kind -> why no file of this kind can be made, in words.
        touched: kinds whose files may be there but do not hold: a run began to write or remove them.
    """

    content: str = ""
    model: str = ""
    source: str = ""
    row: Row | None = None
    kinds: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    touched: frozenset[str] = frozenset()

    def after_writing(self, kinds: Iterable[str]) -> Entry:
        """Return the entry once files of these kinds have been touched."""
        return replace(self, kinds=self.kinds.difference(kinds), touched=self.touched.union(kinds))


class ResultRecords:
    """The record in a folder of results: a JSON line for each result, which is only ever appended.

    Processes that share the folder have a file each: `records.jsonl`, `records.1.jsonl`, and so on. All of them are
    read. Lines count in the order of their times; a damaged line, such as a power cut leaves, is ignored. Methods may
    be called from threads.

    Args:
        folder: the folder of results.
        settings: everything that the results depend on besides the input, as JSON can hold it.
        part: number of this process among those that share the folder.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], part: int = 0) -> None:
        self.path = folder / ("records.jsonl" if part == 0 else f"records.{part}.jsonl")
        self._model = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        self._lock = threading.Lock()
        self._entries = read_entries(folder)

    def find(self, stem: Path) -> Entry:
        """Return what is known of the results called `stem`."""
        return self._entries.get(str(stem), Entry())

    def is_current(self, stem: Path, content: str | None) -> bool:
        """Return whether the results called `stem` were made from this content, with these settings."""
        entry = self.find(stem)
        return entry.row is not None and (entry.content, entry.model) == (content, self._model)

    def begin(self, stem: Path, kinds: Iterable[str]) -> None:
        """Invalidate these kinds of the results called `stem`, before their files are written or removed.

        Raises:
            LungsegError: the line cannot be written, for example because the disk is full.
        """
        entry = self._entries.get(str(stem))
        if entry and not entry.touched.issuperset(kinds):
            # On the disk before the files are, so that a power cut cannot bring the old line back.
            self._append("writing", stem, sync=True, kinds=sorted(kinds))
            self._entries[str(stem)] = entry.after_writing(kinds)

    def add(
        self, stem: Path, content: str, row: Row, kinds: Iterable[str] = (), refused: Mapping[str, str] | None = None
    ) -> None:
        """Record the results called `stem`: their row, the kinds whose files hold, and the kinds that were refused.

        Raises:
            LungsegError: the line cannot be written, for example because the disk is full.
        """
        entry = Entry(content, self._model, os.path.realpath(row.file), row, frozenset(kinds), dict(refused or {}))
        self._append(
            "result",
            stem,
            content=content,
            model=self._model,
            source=entry.source,
            row=asdict(row),
            kinds=sorted(entry.kinds),
            refused=entry.refused,
        )
        self._entries[str(stem)] = entry

    def add_failure(self, stem: Path, row: Row) -> None:
        """Record that the input whose results would be called `stem` failed; its entry stays.

        Raises:
            LungsegError: the line cannot be written, for example because the disk is full.
        """
        self._append("failure", stem, row=asdict(row))

    def _append(self, event: str, stem: Path, *, sync: bool = False, **facts: Any) -> None:
        line = json.dumps({"event": event, "name": str(stem), "time": time.time_ns(), **facts}).encode() + b"\n"
        try:
            with self._lock, self.path.open("ab+") as file:
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":
                        line = b"\n" + line
                file.write(line)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise writing_failed(error, self.path) from error


def start_record(folder: Path) -> bool:
    """Make the record's first file, by which a folder of results is known, if it is not there.

    Returns:
        Whether an older version of lungseg wrote to the folder, and this version has not.

    Raises:
        LungsegError: the file cannot be written.
    """
    names = os.listdir(folder)
    path = folder / "records.jsonl"
    try:
        path.touch()
    except OSError as error:
        raise writing_failed(error, path) from error
    return any(map(_OLDER_FILE.fullmatch, names)) and not any(map(_FILE.fullmatch, names))


def read_entries(folder: Path) -> dict[str, Entry]:
    """Return name -> entry of the results that a folder's record describes; none if there is no record."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    lines = [line for name in names if _FILE.fullmatch(name) for line in _read_lines(folder / name)]
    entries: dict[str, Entry] = {}
    for line in sorted(lines, key=lambda line: int(line["time"])):
        name = line["name"]
        if line["event"] == "result":
            given = {key: line[key] for key in ("content", "model", "source", "row", "refused")}
            entries[name] = Entry(**given, kinds=frozenset(line["kinds"]))
        elif line["event"] == "writing":
            entries[name] = entries.get(name, Entry()).after_writing(line["kinds"])
    return entries


def _read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of one file that are whole, with their rows as `Row`."""
    with file.open("rb") as lines:
        for text in lines:
            # A line that was cut off is not JSON; one with other columns is of another version.
            with suppress(ValueError, TypeError, KeyError, AttributeError):
                line = json.loads(text)
                if _is_sound(line):
                    yield line | ({"row": Row(**line["row"])} if "row" in line else {})


def _is_sound(line: dict[str, Any]) -> bool:
    """Return whether every value of a line has its type.

    Raises:
        TypeError, KeyError, AttributeError: it has other keys or columns.
    """
    types = _LINE | _EVENTS[line["event"]]
    if not all(isinstance(line[key], kind) for key, kind in types.items()):
        return False
    texts = [*line.get("kinds", ()), *line.get("refused", {}).values()]
    columns = vars(Row(**line["row"])) if "row" in line else {}
    return all(isinstance(text, str) for text in texts) and all(
        isinstance(value, _ROW[name]) for name, value in columns.items()
    )
