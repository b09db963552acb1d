# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM at moments when they would do harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Windows has no SIGHUP.
STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def stops_held_back(inherited: bool = False) -> Iterator[None]:
    """Delay Ctrl-C, SIGTERM and SIGHUP until the block ends; the block must take seconds at most.

    Args:
        inherited: whether processes that are started in the block ignore Ctrl-C for ever.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, frame: received.append(number))
        for number in STOPS
        # A program in another language may have set one that Python cannot restore.
        if signal.getsignal(number) not in (None, signal.SIG_IGN)
    }
    blocks = inherited and hasattr(signal, "pthread_sigmask")
    # Processes inherit the mask, but not the handler. This process's other threads have no mask.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if blocks else None
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])
