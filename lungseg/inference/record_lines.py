# SPDX-License-Identifier: Apache-2.0
"""The lines of a record of results, and where they lie in its files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

from lungseg.report.table import row_from

GENERATION = "generation"
_FILE = re.compile(r"records(?:\.(\d+))?\.jsonl")
_LINE = {"event": str, "name": str, GENERATION: int}
_EVENTS: dict[str, dict[str, type]] = {
    "result": {"content": str, "model": str, "source": str, "row": dict, "files": dict, "refused": dict},
    "writing": {"kinds": list},
    "killed": {"content": str},
    # For people: failed inputs are tried again, unless they killed a run twice.
    "failure": {"row": dict},
}
RESULT_FACTS = tuple(_EVENTS["result"])


class Line(NamedTuple):
    """Where a line of a record is, which takes a tenth of the memory of what it says.

    Attributes:
        file: name of the file in the folder of results.
        offset: of its first byte.
        generation: which tells its order among the lines of all files.
        event: "result", "writing", "killed" or "failure".
        model: of a result, see :class:`lungseg.inference.entry.Entry`; else "".
    """

    file: str
    offset: int
    generation: int
    event: str
    model: str = ""


def file_name(part: int) -> str:
    """Return the name of the file that process number `part` appends to."""
    return "records.jsonl" if part == 0 else f"records.{part}.jsonl"


def record_files(folder: Path) -> list[str]:
    """Return the names of the files of a folder's record, in the order of their parts."""
    found = [_FILE.fullmatch(name) for name in (os.listdir(folder) if os.path.isdir(folder) else [])]
    return [name[0] for name in sorted(filter(None, found), key=lambda name: int(name[1] or 0))]


def scan(folder: Path) -> Iterator[tuple[Line, str]]:
    """Yield the place of each whole line of a record, and the name that it is about, file by file."""
    for name in record_files(folder):
        offset = 0
        with (folder / name).open("rb") as lines:
            for text in lines:
                if (line := parse(text)) is not None:
                    yield line_at(name, offset, line), line["name"]
                offset += len(text)


def line_at(file: str, offset: int, line: Mapping[str, Any]) -> Line:
    """Return the place of a line."""
    # All lines have these texts in common.
    event, model = intern(line["event"]), intern(line.get("model", ""))
    return Line(intern(file), offset, int(line[GENERATION]), event, model)


def read_line(folder: Path, place: Line) -> dict[str, Any] | None:
    """Return a line, whose row is of type `Row`; None if it is not there any more."""
    try:
        with (folder / place.file).open("rb") as file:
            file.seek(place.offset)
            return parse(file.readline())
    except OSError:
        return None


def parse(text: bytes) -> dict[str, Any] | None:
    """Return what a line says, with its row of type `Row`; None if it is damaged or of another version."""
    # A line that was cut off is not JSON; one with other columns or without a generation is of another version.
    with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        line = json.loads(text)
        if _is_sound(line):
            found: dict[str, Any] = line | ({"row": row_from(line["row"])} if "row" in line else {})
            return found
    return None


def _is_sound(line: dict[str, Any]) -> bool:
    """Return whether every value of a line, except its row, has its type.

    Raises:
        TypeError, KeyError, AttributeError: it has other keys.
    """
    types = _LINE | _EVENTS[line["event"]]
    if not all(isinstance(line[key], kind) for key, kind in types.items()):
        return False
    texts = [*line.get("kinds", ()), *line.get("files", {}).values(), *line.get("refused", {}).values()]
    return all(isinstance(text, str) for text in texts)
