# SPDX-License-Identifier: Apache-2.0
"""Where a record says what about which radiograph: the rows of a hundred thousand results stay on the disk."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from lungseg.inference.entry import Entry
from lungseg.inference.record_lines import RESULT_FACTS, Line, read_line, scan


class RecordIndex:
    """The places of the lines that count about each radiograph, from which its entry is read when it is asked for.

    Lines count in the order of their generations. Equal generations are of processes that were at work at the same
    time, on different inputs; then, and in the file of one process, the position counts.

    Args:
        folder: the folder of results.
        generation: the highest one of the record.
    """

    def __init__(self, folder: Path, generation: int = 0) -> None:
        self.folder, self.generation = folder, generation
        self._lines: dict[str, tuple[Line, ...]] = {}

    @classmethod
    def read(cls, folder: Path, names: Container[str] | None = None) -> RecordIndex:
        """Read the record of a folder, which may be missing.

        Args:
            folder: the folder of results.
            names: of the results to know; None for all.
        """
        index = cls(folder)
        for line, name in scan(folder):
            if names is None or name in names:
                index.note(name, line)
            index.generation = max(index.generation, line.generation)
        return index

    def names(self) -> Iterator[str]:
        """Yield the names of the results that it knows."""
        return filter(self.knows, self._lines)

    def knows(self, name: str | Path) -> bool:
        """Return whether more is known of the results of this name than that their input failed."""
        return any(line.event != "failure" for line in self._lines.get(str(name), ()))

    def find(self, stem: Path) -> Entry:
        """Return what is known of the results called `stem`; nothing of lines that are not there any more."""
        entry = Entry()
        for place in self.lines(stem):
            line = read_line(self.folder, place) or {}
            match line.get("event"):
                case "result":
                    entry = Entry(**{fact: line[fact] for fact in RESULT_FACTS})
                case "writing":
                    entry = entry.after_writing(line["kinds"])
                case "killed":
                    entry = entry.after_kill(line["content"])
                case "failure":
                    entry = entry.after_failure()
        return entry

    def lines(self, stem: Path) -> tuple[Line, ...]:
        """Return the places of the lines about the results called `stem`."""
        return self._lines.get(str(stem), ())

    def learn(self, stem: Path, lines: tuple[Line, ...]) -> None:
        """Take over from the index of another process which lines there are about `stem`."""
        if lines:
            self._lines[str(stem)] = lines

    def forget(self, stem: Path) -> None:
        """Free the memory that is taken for `stem`, of which nobody will ask any more."""
        self._lines.pop(str(stem), None)

    def note(self, name: str, line: Line) -> None:
        """Add a line, which may be older than those that are known."""
        self._lines[name] = _counting([*self._lines.get(name, ()), line])

    def has_result(self, stem: Path, model: str) -> bool:
        """Return whether the last result called `stem` is of this model, see :class:`Entry`."""
        return any(line.event == "result" and line.model == model for line in self.lines(stem))

    def was_killed(self, stem: Path) -> bool:
        """Return whether a process was killed since the last result called `stem` while its input was under way."""
        return any(line.event == "killed" for line in self.lines(stem))


def _counting(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Put lines about one radiograph in order, and leave out those that a later result made void."""
    lines = sorted(lines, key=lambda line: line.generation)
    last = max((place for place, line in enumerate(lines) if line.event == "result"), default=0)
    return tuple(lines[last:])
