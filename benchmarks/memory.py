# SPDX-License-Identifier: Apache-2.0
"""The peak memory of a piece of work."""

from __future__ import annotations

import threading
from contextlib import suppress

import psutil


class PeakMemory:
    """Watch this process and its workers while a block runs.

    Workers share pages with each other and with the process that they were forked from. A worker counts for its part of
    a shared page, and this process for the whole.

    Args:
        interval: seconds between two looks.

    Attributes:
        bytes: the largest sum of this process's resident set and its descendants' proportional sets (unique sets where
            the system reports no others).
    """

    def __init__(self, interval: float = 1.0) -> None:
        self.interval, self.bytes = interval, 0
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look_again_and_again, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._watch.start()
        return self

    def __exit__(self, *_) -> None:
        self._done.set()
        self._watch.join()

    def _look_again_and_again(self) -> None:
        process = psutil.Process()
        while True:
            total = process.memory_info().rss
            for worker in process.children(recursive=True):
                with suppress(psutil.Error):
                    memory = worker.memory_full_info()
                    total += getattr(memory, "pss", memory.uss)
            self.bytes = max(self.bytes, total)
            if self._done.wait(self.interval):
                return
