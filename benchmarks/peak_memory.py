# SPDX-License-Identifier: Apache-2.0
"""The memory that a program takes at its worst moment, with all processes that it starts."""

from __future__ import annotations

import threading
from contextlib import suppress

import psutil

# In the command line of the processes that read files for another one, see lungseg.io.reader_process.
_READER = "lungseg.io.reader_child"


class PeakMemory:
    """Watch a process and its descendants while a block runs.

    Processes share pages with each other, libraries above all. Each counts for its part of a shared page (the
    proportional set size of Linux; elsewhere for what it shares with nobody). What programs outside share with them is
    left out in part, so that nothing else should run that imports PyTorch from the same files.

    Args:
        pid: of the process; None for this one.
        interval: seconds between two looks.

    Attributes:
        bytes: the largest sum of all processes.
        process_bytes: the largest sum of one process and the readers of files that it started.
        processor_seconds: processor time of all processes, as far as they were seen.
    """

    def __init__(self, pid: int | None = None, interval: float = 0.2) -> None:
        self.interval, self.bytes, self.process_bytes = interval, 0, 0
        self._process = psutil.Process(pid)
        self._seconds: dict[int, float] = {}
        self._readers: dict[int, bool] = {}
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look_again_and_again, daemon=True)

    @property
    def processor_seconds(self) -> float:
        """See the class."""
        return sum(self._seconds.values())

    def __enter__(self) -> PeakMemory:
        self._watch.start()
        return self

    def __exit__(self, *_) -> None:
        self._done.set()
        self._watch.join()

    def _look_again_and_again(self) -> None:
        while True:
            with suppress(psutil.Error):
                self._look()
            if self._done.wait(self.interval):
                return

    def _look(self) -> None:
        owned: dict[int, int] = {}
        for process in (self._process, *self._process.children(recursive=True)):
            with suppress(psutil.Error):
                memory = process.memory_full_info()
                owner = process.ppid() if self._is_reader(process) else process.pid
                owned[owner] = owned.get(owner, 0) + getattr(memory, "pss", memory.uss)
                times = process.cpu_times()
                self._seconds[process.pid] = times.user + times.system
        self.bytes = max(self.bytes, sum(owned.values()))
        self.process_bytes = max((self.process_bytes, *owned.values()))

    def _is_reader(self, process: psutil.Process) -> bool:
        # Until it runs another program, a process has the command line of its parent.
        if not self._readers.get(process.pid):
            self._readers[process.pid] = any(_READER in part for part in process.cmdline())
        return self._readers[process.pid]
