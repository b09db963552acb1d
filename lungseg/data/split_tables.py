# SPDX-License-Identifier: Apache-2.0
"""Lists for training, validation and test as a table that people write: a CSV file with the columns name and split."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path

from lungseg.data.patients import file_stem, without_ending
from lungseg.utils.errors import LungsegError
from lungseg.utils.text import protect_cell, restore_cell

_ENDINGS = (".csv", ".tsv")
_DELIMITERS = ",;\t"
# Names of columns in small letters without separators; the first ones are preferred.
_NAMES = ("name", "image", "file", "filename", "imagename", "case", "study", "path", "imagepath", "imageid", "id")
_SPLITS = ("split", "section", "subset", "partition", "set", "list")
_SECTIONS = {
    "train": ("train", "training", "tr"),
    "validation": ("validation", "val", "valid", "validate", "dev", "development"),
    "test": ("test", "testing", "ts"),
}
_SECTION_OF = {word: section for section, words in _SECTIONS.items() for word in words}
_WORDS = "train, validation (or val, valid, dev) and test"


def is_table(path: str | PathLike[str]) -> bool:
    """Return whether a file of lists is a table, by its name."""
    return Path(path).name.lower().endswith(_ENDINGS)


def read_table(path: str | PathLike[str]) -> dict[str, list[str]]:
    """Read the lists of a table: section -> the files as they are named in it, without the endings of pictures.

    The first line names the columns; commas, semicolons or tabs are between them.

    Raises:
        LungsegError: the file cannot be read, has no such columns, or has a line without one of the sections, or a name
            twice (split-invalid).
    """
    sections: dict[str, list[str]] = {section: [] for section in _SECTIONS}
    lines: dict[str, int] = {}
    for line, name, word in _rows(path):
        section = _SECTION_OF.get(word.strip().lower())
        if section is None:
            raise _invalid(path, f"line {line} has the split {word.strip()!r}", f"use {_WORDS}")
        if not name:
            raise _invalid(path, f"line {line} names no image", "add the name, or remove the line")
        if name in lines:
            raise _invalid(path, f"the case {name} is in it twice, in the lines {lines[name]} and {line}", "remove one")
        lines[name] = line
        sections[section].append(name)
    return sections


def write_table(path: Path, sections: dict[str, list[str]]) -> None:
    """Write lists as a table.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "split"])
        writer.writerows([protect_cell(name), section] for section in _SECTIONS for name in sections[section])


def resolve_names(
    path: str | PathLike[str], sections: dict[str, list[str]], names: Iterable[str]
) -> dict[str, list[str]]:
    """Replace the files of a table by the names of the cases that they mean: as much of a path as is needed.

    Args:
        path: the table, for errors.
        sections: its lists.
        names: of all cases. A file that is none of them stays as it is named.

    Raises:
        LungsegError: a file could be several cases, or two files are the same one (split-invalid).
    """
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        by_stem[file_stem(name)].append(name)
    meant: dict[str, str] = {}
    for file in (file for members in sections.values() for file in members):
        near = by_stem.get(file_stem(file), [])
        cases = [name for name in near if name == file] or [
            name for name in near if name.endswith(f"/{file}") or file.endswith(f"/{name}")
        ]
        if len(cases) > 1:
            what = f"{file} could be {cases[0]} and {cases[1]}"
            raise _invalid(path, what, "write their paths within the folder of images")
        case = cases[0] if cases else file
        if case in meant:
            raise _invalid(path, f"the case {case} is in it twice, as {meant[case]} and {file}", "remove one")
        meant[case] = file
    case_of = {file: case for case, file in meant.items()}
    return {section: [case_of[file] for file in members] for section, members in sections.items()}


def _rows(path: str | PathLike[str]) -> Iterator[tuple[int, str, str]]:
    """Yield the number, the name and the split of each line with a content."""
    for delimiter in _DELIMITERS:
        header, *lines = _parsed(path, delimiter)
        columns = [re.sub(r"[\W_]", "", cell.lower()) for cell in header]
        name = next((columns.index(one) for one in _NAMES if one in columns), None)
        split = next((columns.index(one) for one in _SPLITS if one in columns), None)
        if name is not None and split is not None:
            break
    else:
        what = "its first line does not name a column of images and one of lists"
        raise _invalid(path, what, "write name,split into it, and into each further line a name and a list")
    for number, cells in enumerate(lines, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) <= max(name, split):
            raise _invalid(path, f"line {number} has {len(cells)} columns, fewer than the first line", "complete it")
        file = restore_cell(cells[name].strip()).replace("\\", "/")
        yield number, without_ending(file) if file else "", cells[split]


def _parsed(path: str | PathLike[str], delimiter: str) -> list[list[str]]:
    """Return the cells of each line, of at least one."""
    try:
        # A name of a file may have bytes that are not UTF-8.
        with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            return list(csv.reader(file, delimiter=delimiter)) or [[]]
    except (OSError, csv.Error) as error:
        raise _invalid(path, f"this file cannot be read as CSV ({error})", "save it as CSV again") from error


def _invalid(path: str | PathLike[str], what: str, remedy: str) -> LungsegError:
    return LungsegError(what, path, remedy, code="split-invalid")
