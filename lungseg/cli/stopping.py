# SPDX-License-Identifier: Apache-2.0
"""The end of a command by Ctrl-C, SIGTERM (systemd, Docker, Slurm) or SIGHUP (a closed terminal)."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from types import FrameType

from lungseg.utils.signals import STOPS

_received = signal.SIGINT
_last = -math.inf
# Seconds after a signal in which further ones do not count: they would interrupt what the first one began.
_PAUSE = 0.2
# Seconds for threads that are about to end.
_GRACE = 2.0


class StoppedBySignal(KeyboardInterrupt):
    """Another signal than Ctrl-C stopped the command.

    A class of its own: where a plain KeyboardInterrupt passes `eval`, in which MONAI runs a training, Python ends by
    SIGINT, whatever the exit status should be.
    """


def stop_as_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as SIGINT does, unless this process was told to ignore them.

    A signal that follows another one within a fifth of a second does not count.
    """
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        global _received
        # A forked worker inherits the handler, but not the duty to end in order.
        if os.getpid() != owner:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        if _counts():
            _received = signal.Signals(number)
            raise StoppedBySignal

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner or _counts():
            raise KeyboardInterrupt

    for number in STOPS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)


def _counts() -> bool:
    global _last
    now = time.monotonic()
    if now - _last < _PAUSE:
        return False
    _last = now
    return True


def interrupt_again() -> None:
    """Interrupt this process a moment later: Python could only report a Ctrl-C where it was."""
    threading.Timer(1.5 * _PAUSE, signal.raise_signal, [signal.SIGINT]).start()


def stopped_status() -> int:
    """Return the exit status of a command that a signal stopped: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + _received


def ignore_stops() -> None:
    """Ignore further signals, because this process ends anyway."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


def end_without_threads(status: int) -> None:
    """End this process if threads are still at work on files that were given up; Python would wait for them."""
    # The one that looks after killed workers ends by itself, and frees what they shared.
    end = time.monotonic() + _GRACE
    for thread in _threads():
        thread.join(max(0.0, end - time.monotonic()))
    if not _threads():
        return
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(status)


def _threads() -> list[threading.Thread]:
    """Return the threads that Python would wait for at its end."""
    return [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]
