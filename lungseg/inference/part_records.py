# SPDX-License-Identifier: Apache-2.0
"""What each part of a run has to do and has done, in the folder of results that the parts share."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lungseg.inference.parts import Part
from lungseg.report.table import Row, as_columns, row_from
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import is_in_use, only_user, writing_failed

_FILE = re.compile(r"part-(\d+)-of-(\d+)\.jsonl")
# Facts of a run that may differ between its parts.
_OWN_FACTS = frozenset({"command", "device"})


@dataclass
class PartRecord:
    """What a part has to do and has done: `part-3-of-16.jsonl` in the folder of results.

    Its first line has the facts and the files, each further line the row of a file, and the last one the time that it
    took, once the part is finished.

    Attributes:
        part: the part.
        facts: of its run, as JSON can hold them.
        files: place among all files of the run, name as it was given, and name of its results.
        rows: place -> row of the files that are done.
        seconds: what the part took; None if it is not finished.
    """

    part: Part
    facts: dict[str, Any] = field(default_factory=dict)
    files: list[tuple[int, str, str]] = field(default_factory=list)
    rows: dict[int, Row] = field(default_factory=dict)
    seconds: float | None = None

    def path(self, folder: Path) -> Path:
        """Return its file in the folder of results."""
        return folder / f"part-{self.part.number}-of-{self.part.count}.jsonl"

    def settings(self) -> dict[str, Any]:
        """Return the facts that all parts of a run have in common."""
        facts = {name: fact for name, fact in self.facts.items() if name not in _OWN_FACTS}
        if isinstance(weights := facts.get("weights"), dict):
            # Machines may have them in different folders.
            facts["weights"] = weights.get("sha256")
        return facts

    def begin(self, folder: Path) -> None:
        """Write the first line; an earlier record of this part is replaced.

        Raises:
            LungsegError: it cannot be written.
        """
        self._write(folder, "w", {"facts": self.facts, "files": self.files})

    def add(self, folder: Path, place: int, row: Row) -> None:
        """Append a row.

        Raises:
            LungsegError: it cannot be written.
        """
        self.rows[place] = row
        self._write(folder, "a", {"place": place, "row": as_columns(row)})

    def finish(self, folder: Path, seconds: float) -> None:
        """Append that all files are done.

        Raises:
            LungsegError: it cannot be written.
        """
        self.seconds = seconds
        self._write(folder, "a", {"seconds": seconds})

    def _write(self, folder: Path, mode: str, line: Mapping[str, Any]) -> None:
        path = self.path(folder)
        try:
            with path.open(mode, encoding="ascii") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise writing_failed(error, path) from error


@contextmanager
def taken_part(folder: Path, record: PartRecord) -> Iterator[None]:
    """Hold a part's lock in the folder of results during the block, and begin its record.

    Records of an earlier run in other parts, or with other settings, are removed; its results stay, and are reused.

    Raises:
        UsageError: this part is at work already, or a run with other parts or settings is.
        LungsegError: the record cannot be written.
    """
    with only_user(record.part.lock(folder)):
        for other in read_parts(folder):
            if other.part == record.part:
                continue
            if other.part.count == record.part.count and other.settings() == record.settings():
                continue
            if is_in_use(other.part.lock(folder)):
                what = f"{other.part} of a run with other parts or settings is at work in this folder"
                raise UsageError(what, folder, "wait for its end, or choose another folder", code="parts-differ")
            with suppress(OSError):
                other.path(folder).unlink(missing_ok=True)
        record.begin(folder)
        yield


def parts_in_use(folder: Path) -> list[Part]:
    """Return the parts that are at work in a folder of results."""
    return [record.part for record in read_parts(folder) if is_in_use(record.part.lock(folder))]


def read_parts(folder: Path) -> list[PartRecord]:
    """Read the records of all parts in a folder, in the order of their numbers; a line that was cut off is ignored."""
    found = [_FILE.fullmatch(name) for name in (os.listdir(folder) if os.path.isdir(folder) else [])]
    parts = sorted((Part(int(name[1]), int(name[2])) for name in found if name), key=lambda part: part.number)
    return [record for part in parts if (record := _read(folder, PartRecord(part)))]


def _read(folder: Path, record: PartRecord) -> PartRecord | None:
    try:
        lines = record.path(folder).read_text("ascii", errors="replace").splitlines()
    except OSError:
        return None
    try:
        first = json.loads(lines[0])
        record.facts = dict(first["facts"])
        record.files = [(int(place), str(file), str(stem)) for place, file, stem in first["files"]]
    except (IndexError, ValueError, TypeError, KeyError, RecursionError):
        return None
    for text in lines[1:]:
        with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
            line = json.loads(text)
            if "seconds" in line:
                record.seconds = float(line["seconds"])
            else:
                record.rows[int(line["place"])] = row_from(line["row"])
    return record


def check_parts_agree(folder: Path, records: Sequence[PartRecord]) -> None:
    """Check that the parts are those of one run.

    Raises:
        LungsegError: there is none (no-parts), or their counts, weights or other settings differ (parts-differ).
    """
    if not records:
        remedy = "run lungseg predict with --part 1/2, 2/2 and so on first"
        raise LungsegError("no part of a run has written here", folder, remedy, code="no-parts")
    first = records[0]
    for other in records[1:]:
        if other.part.count != first.part.count:
            what = f"it holds parts of {first.part.count} and of {other.part.count}"
        elif differing := _differences(first.settings(), other.settings()):
            what = f"{first.part} and {other.part} differ in {', '.join(differing)}"
        else:
            continue
        raise LungsegError(what, folder, "run all parts again with the same options", code="parts-differ")


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
