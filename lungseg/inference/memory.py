# SPDX-License-Identifier: Apache-2.0
"""Share the memory of the machine among the radiographs that are segmented at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.context import BaseContext
from os import PathLike
from typing import Protocol

from lungseg.utils.errors import LungsegError
from lungseg.utils.memory import machine_memory

# Measured from 4 to 79 million pixels: the sum of all arrays at the radiograph's own size, at the worst moment.
_BYTES_PER_PIXEL = 64
# Of the machine's memory; the rest is for the system and the readers of files.
_SHARE = 0.75
# What the libraries and the networks take in each process.
_PROCESS_BYTES = 300_000_000
# Memory is handed out in pieces.
_PIECE = 2**25


class _Semaphore(Protocol):
    def acquire(self) -> bool: ...
    def release(self) -> None: ...


def check_memory(pixels: int, name: str | PathLike[str]) -> None:
    """Check that this machine can segment a radiograph of so many pixels, by itself.

    Raises:
        LungsegError: it has too little memory.
    """
    _check(pixels, _available(1), name)


class MemoryBudget:
    """Memory that threads or processes take for a while; one that asks for more than is left waits.

    Args:
        processes: how many processes share it.
        context: how they are started; None for the threads of this process.
    """

    def __init__(self, processes: int = 1, context: BaseContext | None = None) -> None:
        self.available = _available(processes)
        pieces = max(1, self.available // _PIECE) if self.available else 0
        self._pieces: _Semaphore = context.Semaphore(pieces) if context else threading.Semaphore(pieces)
        # One at a time takes its pieces: two that have a part each would wait for each other.
        self._turn: AbstractContextManager[object] = context.Lock() if context else threading.Lock()
        self._total = pieces

    def check(self, pixels: int, name: str | PathLike[str]) -> None:
        """Check that a radiograph of so many pixels can be segmented while no other one is.

        Raises:
            LungsegError: there is too little memory.
        """
        _check(pixels, self.available, name)

    def fits(self, pixels: int) -> bool:
        """Return whether so many pixels can be segmented together."""
        return self.available is None or pixels * _BYTES_PER_PIXEL <= self.available

    @contextmanager
    def held(self, pixels: int) -> Iterator[None]:
        """Wait until there is memory for so many pixels, and hold it while the block runs."""
        wanted = min(self._total, -(-pixels * _BYTES_PER_PIXEL // _PIECE))
        with self._turn:
            for _ in range(wanted):
                self._pieces.acquire()
        try:
            yield
        finally:
            for _ in range(wanted):
                self._pieces.release()


def _available(processes: int) -> int | None:
    total = machine_memory()
    return None if total is None else max(0, int(total * _SHARE) - processes * _PROCESS_BYTES)


def _check(pixels: int, available: int | None, name: str | PathLike[str]) -> None:
    if available is None or pixels * _BYTES_PER_PIXEL <= available:
        return
    what = f"a picture of {pixels / 1e6:.0f} million pixels takes {pixels * _BYTES_PER_PIXEL / 1e9:.1f} GB of memory"
    what += f", and {available / 1e9:.1f} GB can be used here"
    remedy = "export it smaller, use fewer --workers, or use a machine with more memory"
    raise LungsegError(what, name, remedy, code="too-much-memory")
