# SPDX-License-Identifier: Apache-2.0
"""The record of results: one append-only file per process, from which a later run knows what is done."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lungseg.inference.entry import Entry
from lungseg.inference.record_index import RecordIndex
from lungseg.inference.record_lines import GENERATION, file_name, line_at, record_files, scan
from lungseg.inference.under_way import UnderWay
from lungseg.io.content import content_hash
from lungseg.report.table import Row, as_columns
from lungseg.utils.files import writing_failed

_OLDER_FILE = re.compile(r"done(\.\d+)?\.jsonl")


class ResultRecords:
    """The record in a folder of results: a JSON line for each result, which is only ever appended.

    Processes that share the folder have a file each: `records.jsonl`, `records.1.jsonl`, and so on. All of them are
    read. Lines count in the order of their generations, which do not depend on a clock: each is one more than the
    highest that its process has seen; a damaged line, such as a power cut leaves, is ignored. What a line says stays on
    the disk until it is asked for. Methods may be called from threads.

    Args:
        folder: the folder of results.
        settings: everything that the results depend on besides the input, as JSON can hold it.
        part: number of this process among those that share the folder.
        index: of the record, which is kept up to date; None to read it.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], part: int = 0, index: RecordIndex | None = None
    ) -> None:
        self.path = folder / file_name(part)
        self.under_way = UnderWay(folder, part)
        self.index = index or RecordIndex.read(folder)
        self.model = model_hash(settings)
        self._lock = threading.Lock()

    def find(self, stem: Path) -> Entry:
        """Return what is known of the results called `stem`."""
        return self.index.find(stem)

    def is_current(self, entry: Entry, content: str | None) -> bool:
        """Return whether results were made from this content, with these settings."""
        return entry.row is not None and (entry.content, entry.model) == (content, self.model)

    def begin(self, stem: Path, kinds: Iterable[str]) -> None:
        """Invalidate these kinds of the results called `stem`, before their files are written or removed.

        Raises:
            LungsegError: the line cannot be written, for example because the disk is full.
        """
        if self.index.knows(stem) and not self.find(stem).touched.issuperset(kinds):
            # On the disk before the files are, so that a power cut cannot bring the old line back.
            self._append("writing", stem, sync=True, kinds=sorted(kinds))

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
        self._append(
            "result",
            stem,
            content=content,
            model=self.model,
            source=os.path.realpath(row.file),
            row=as_columns(row),
            files=dict(files or {}),
            refused=dict(refused or {}),
        )

    def add_failure(self, stem: Path, row: Row) -> None:
        """Record that the input whose results would be called `stem` failed; its results stay as they are recorded.

        Raises:
            LungsegError: the line cannot be written, for example because the disk is full.
        """
        self._append("failure", stem, row=as_columns(row))

    def add_kill(self, stem: Path, content: str) -> None:
        """Record that a process was killed while the input of this content was under way.

        Raises:
            LungsegError: the line cannot be written, for example because the disk is full.
        """
        self._append("killed", stem, content=content)

    def _append(self, event: str, stem: Path, *, sync: bool = False, **facts: Any) -> None:
        try:
            with self._lock, self.path.open("ab+") as file:
                line = {"event": event, "name": str(stem), GENERATION: self.index.generation + 1, **facts}
                text = json.dumps(line).encode() + b"\n"
                if offset := file.tell():
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":
                        text, offset = b"\n" + text, offset + 1
                file.write(text)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
                self.index.generation += 1
        except OSError as error:
            raise writing_failed(error, self.path) from error
        self.index.note(str(stem), line_at(self.path.name, offset, line))


def start_record(folder: Path) -> bool:
    """Make the record's first file, by which a folder of results is known, if it is not there.

    Returns:
        Whether an older version of lungseg wrote to the folder, and this version has not.

    Raises:
        LungsegError: the file cannot be written.
    """
    files = record_files(folder)
    if files:
        older = any((folder / file).stat().st_size for file in files) and not any(True for _ in scan(folder))
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
    index = RecordIndex.read(folder)
    return {name: index.find(Path(name)) for name in index.names()}


def model_hash(settings: Mapping[str, Any]) -> str:
    """Return the hash by which the record knows everything that results depend on besides the input."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


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
