# SPDX-License-Identifier: Apache-2.0
"""Run a command that segments a folder; when each mask was written, and how much memory the command took."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import record
from benchmarks.peak_memory import PeakMemory
from benchmarks.predict import per_image
from lungseg.utils.errors import LungsegError

# Rarer looks miss peaks; more frequent ones take the time of what is measured.
_INTERVAL = 0.25


class Watched(NamedTuple):
    """What a run took.

    Attributes:
        seconds: from its start to its end.
        first: from its start to the first mask, in seconds.
        per_image: seconds from one mask to the next; start and end are left out, see `benchmarks.predict.per_image`.
        peak_bytes: memory of all its processes, see `benchmarks.peak_memory`.
        files: how many files it wrote for each mask.
    """

    seconds: float
    first: float
    per_image: float
    peak_bytes: int
    files: float


def watch(command: Sequence[str], output: Path, count: int) -> Watched:
    """Run a command that writes `count` masks, at least two, into `output`/masks.

    Raises:
        LungsegError: it fails, or writes another number of masks.
    """
    with tempfile.TemporaryFile() as said:
        clock, began = time.perf_counter(), time.time()
        process = subprocess.Popen(command, cwd=record.ROOT, stdout=said, stderr=said)
        try:
            with PeakMemory(process.pid, _INTERVAL) as memory:
                status = process.wait()
        finally:
            process.kill()
        seconds = time.perf_counter() - clock
        ends = sorted(file.stat().st_mtime - began for file in (output / "masks").rglob("*.png"))
        if status or len(ends) != count:
            said.seek(0)
            reason = said.read().decode(errors="replace").strip().rpartition("\n")[2]
            what = f"it ended with status {status} and {len(ends)} of {count} masks: {reason}"
            raise LungsegError(what, command[0], "run the command by itself", code="peer-failed")
    files = sum(file.is_file() for file in output.rglob("*"))
    return Watched(seconds, ends[0], per_image(ends), memory.bytes, files / count)
