# SPDX-License-Identifier: Apache-2.0
"""Which files are being processed: where a process is killed, the note of its files stays and names them."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

_FILE = re.compile(r"under-way\.(\d+)\.jsonl")


class UnderWay:
    """The note of one process that writes to a folder of results: a line when files begin, and one when they end.

    It is a hint and costs little: nothing waits for the disk, and a line that cannot be written is left out. A power
    cut may lose it, but a killed process does not. Methods may be called from threads.

    Args:
        folder: the folder of results.
        part: number of this process among those that share the folder.
    """

    def __init__(self, folder: Path, part: int) -> None:
        self.path = folder / f"under-way.{part}.jsonl"
        self._lock = threading.Lock()

    @contextmanager
    def noted(self, contents: Mapping[Path, str | None]) -> Iterator[None]:
        """Note names and SHA-256 of the inputs that are processed in the block, however it ends."""
        if not contents:
            yield
            return
        self._append({"begin": {str(stem): content or "" for stem, content in contents.items()}})
        try:
            yield
        finally:
            self._append({"end": [str(stem) for stem in contents]})

    def _append(self, line: Mapping[str, object]) -> None:
        with suppress(OSError), self._lock, self.path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")


def noted_parts(folder: Path) -> list[int]:
    """Return the numbers of the processes of which there is a note."""
    return sorted(int(found[1]) for found in map(_FILE.fullmatch, os.listdir(folder)) if found)


def take_notes(folder: Path, parts: Iterable[int] | None = None) -> dict[str, str]:
    """Remove the notes of processes that have ended.

    Args:
        folder: the folder of results.
        parts: the numbers of these processes; None for all that shared the folder.

    Returns:
        Name -> SHA-256 of the inputs that were under way when a process was killed.
    """
    files = [UnderWay(folder, part).path for part in (noted_parts(folder) if parts is None else parts)]
    found: dict[str, str] = {}
    for file in files:
        found |= _read(file)
        with suppress(OSError):
            file.unlink(missing_ok=True)
    return found


def _read(file: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    with suppress(OSError), file.open("rb") as lines:
        for text in lines:
            # A line may have been cut off.
            with suppress(ValueError, TypeError, AttributeError, RecursionError):
                line = json.loads(text)
                names |= {name: str(content) for name, content in line.get("begin", {}).items()}
                for name in line.get("end", []):
                    names.pop(name, None)
    return names
