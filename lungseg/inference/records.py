# SPDX-License-Identifier: Apache-2.0
"""The record of results: one append-only file per process, from which a later run knows what is done."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

from lungseg.inference.under_way import UnderWay
from lungseg.io.content import content_hash
from lungseg.report.table import Row
from lungseg.utils.files import writing_failed

_FILE = re.compile(r"records(?:\.(\d+))?\.jsonl")
_OLDER_FILE = re.compile(r"done(\.\d+)?\.jsonl")
_GENERATION = "generation"
_LINE = {"event": str, "name": str, _GENERATION: int}
_EVENTS: dict[str, dict[str, type]] = {
    "result": {"content": str, "model": str, "source": str, "row": dict, "files": dict, "refused": dict},
    "writing": {"kinds": list},
    "killed": {"content": str},
    # For people: failed inputs are tried again, unless they killed a run twice.
    "failure": {"row": dict},
}
_ROW = get_type_hints(Row)
# A file during which this many runs or workers were killed fails. It was alone at the last of these times.
_MOST_KILLS = 2


@dataclass(frozen=True)
class Entry:
    """The recorded facts on one radiograph's results; all are empty for an unknown radiograph.

    Attributes:
        content: SHA-256 of the input's content.
        model: hash of everything else that the results depend on.
        source: real path of the input.
        row: its line of the report; `reason` is without that of `refused`.
        files: kind -> digest (see `digest_of`) of its file, for the kinds of output whose files hold.
        refused: kind -> why no file of this kind can be made, in words.
        touched: kinds whose files may be there but do not hold: a run began to write or remove them.
        kills: how often a run or a worker was killed since the last result while this input was under way.
        killer: SHA-256 of the input's content at these times.
    """

    content: str = ""
    model: str = ""
    source: str = ""
    row: Row | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    touched: frozenset[str] = frozenset()
    kills: int = 0
    killer: str = ""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of output whose files hold."""
        return frozenset(self.files)

    def after_writing(self, kinds: Iterable[str]) -> Entry:
        """Return the entry once files of these kinds have been touched."""
        kinds = frozenset(kinds)
        files = {kind: digest for kind, digest in self.files.items() if kind not in kinds}
        return replace(self, files=files, touched=self.touched | kinds)

    def after_kill(self, content: str) -> Entry:
        """Return the entry once a process was killed while this input, with this content, was under way."""
        return replace(self, kills=self.kills + 1 if content == self.killer else 1, killer=content)

    def after_failure(self) -> Entry:
        """Return the entry once the input failed by itself: it did not kill anything then."""
        return self if self.kills >= _MOST_KILLS else replace(self, kills=0, killer="")

    def kills_process(self, path: Path) -> bool:
        """Return whether the content that `path` has now killed a process again when it was alone."""
        return self.kills >= _MOST_KILLS and bool(self.killer) and self.killer == content_hash(path)


class ResultRecords:
    """The record in a folder of results: a JSON line for each result, which is only ever appended.

    Processes that share the folder have a file each: `records.jsonl`, `records.1.jsonl`, and so on. All of them are
    read. Lines count in the order of their generations, which do not depend on a clock: each is one more than the
    highest that its process has seen; a damaged line, such as a power cut leaves, is ignored. Methods may be called
    from threads.

    Args:
        folder: the folder of results.
        settings: everything that the results depend on besides the input, as JSON can hold it.
        part: number of this process among those that share the folder.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], part: int = 0) -> None:
        self.path = folder / ("records.jsonl" if part == 0 else f"records.{part}.jsonl")
        self.under_way = UnderWay(folder, part)
        self._model = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        self._lock = threading.Lock()
        lines = _read_lines(folder)
        self._entries = _entries(lines)
        self._generation = max((line[_GENERATION] for line in lines), default=0)

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
        self,
        stem: Path,
        content: str,
        row: Row,
        files: Mapping[str, str] | None = None,
        refused: Mapping[str, str] | None = None,
    ) -> None:
        """Record the results called `stem`.

        Args:
            stem: the results' name.
            content: SHA-256 of the input.
            row: its line of the report.
            files: kind -> digest, see `digest_of`, of the files that hold.
            refused: kind -> why no file of this kind can be made, in words.

        Raises:
            LungsegError: the line cannot be written, for example because the disk is full.
        """
        entry = Entry(content, self._model, os.path.realpath(row.file), row, dict(files or {}), dict(refused or {}))
        self._append(
            "result",
            stem,
            content=content,
            model=self._model,
            source=entry.source,
            row=asdict(row),
            files=entry.files,
            refused=entry.refused,
        )
        self._entries[str(stem)] = entry

    def add_failure(self, stem: Path, row: Row) -> None:
        """Record that the input whose results would be called `stem` failed; its results stay as they are recorded.

        Raises:
            LungsegError: the line cannot be written, for example because the disk is full.
        """
        self._append("failure", stem, row=asdict(row))
        if entry := self._entries.get(str(stem)):
            self._entries[str(stem)] = entry.after_failure()

    def add_kill(self, stem: Path, content: str) -> None:
        """Record that a process was killed while the input of this content was under way.

        Raises:
            LungsegError: the line cannot be written, for example because the disk is full.
        """
        self._append("killed", stem, content=content)
        self._entries[str(stem)] = self.find(stem).after_kill(content)

    def _append(self, event: str, stem: Path, *, sync: bool = False, **facts: Any) -> None:
        try:
            with self._lock, self.path.open("ab+") as file:
                line = {"event": event, "name": str(stem), _GENERATION: self._generation + 1, **facts}
                text = json.dumps(line).encode() + b"\n"
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":
                        text = b"\n" + text
                file.write(text)
                self._generation += 1
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
    files = _files(folder)
    if files:
        older = any(file.stat().st_size for file in files) and not _read_lines(folder)
    else:
        older = any(map(_OLDER_FILE.fullmatch, os.listdir(folder)))
    path = folder / "records.jsonl"
    try:
        path.touch()
    except OSError as error:
        raise writing_failed(error, path) from error
    return older


def read_entries(folder: Path) -> dict[str, Entry]:
    """Return name -> entry of the results that a folder's record describes; none if there is no record."""
    return _entries(_read_lines(folder))


def digest_of(content: bytes) -> str:
    """Return the size and the SHA-256 of a file's content, by which `is_unchanged` knows the file again."""
    return f"{len(content)} {hashlib.sha256(content).hexdigest()}"


def is_unchanged(path: Path, digest: str) -> bool:
    """Return whether a file has the content that `digest_of` returned this digest of."""
    size, _, sha256 = digest.partition(" ")
    try:
        return str(path.stat().st_size) == size and content_hash(path) == sha256
    except (OSError, ValueError):
        return False


def _entries(lines: Iterable[Mapping[str, Any]]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for line in lines:
        name = line["name"]
        before = entries.get(name, Entry())
        if line["event"] == "result":
            entries[name] = Entry(**{key: line[key] for key in _EVENTS["result"]})
        elif line["event"] == "writing":
            entries[name] = before.after_writing(line["kinds"])
        elif line["event"] == "killed":
            entries[name] = before.after_kill(line["content"])
        elif name in entries:
            entries[name] = before.after_failure()
    return entries


def _files(folder: Path) -> list[Path]:
    """Return the files of a folder's record, in the order of their parts."""
    found = [_FILE.fullmatch(name) for name in (os.listdir(folder) if os.path.isdir(folder) else [])]
    return [folder / name[0] for name in sorted(filter(None, found), key=lambda name: int(name[1] or 0))]


def _read_lines(folder: Path) -> Sequence[dict[str, Any]]:
    """Return the lines of a record that are whole, in the order in which they count; their rows are of type `Row`."""
    lines = [line for file in _files(folder) for line in _read_file(file)]
    # Equal generations are of processes that were at work at the same time, on different inputs.
    return sorted(lines, key=lambda line: int(line[_GENERATION]))


def _read_file(file: Path) -> Iterator[dict[str, Any]]:
    with file.open("rb") as lines:
        for text in lines:
            # A line that was cut off is not JSON; one with other columns or without a generation is of another version.
            with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
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
    texts = [*line.get("kinds", ()), *line.get("files", {}).values(), *line.get("refused", {}).values()]
    columns = vars(Row(**line["row"])) if "row" in line else {}
    return all(isinstance(text, str) for text in texts) and all(
        isinstance(value, _ROW[name]) for name, value in columns.items()
    )
