# SPDX-License-Identifier: Apache-2.0
"""Work on many items at a time: overlapped, in order, and stopped cleanly."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# More threads than this would wait for Python's lock, and each worker holds a radiograph in memory.
_MOST_WORKERS = 8
# One slow item holds up the others no sooner than so many later ones per worker are done.
_AHEAD = 16


def core_count() -> int:
    """Return how many cores this process may use: its share of them where a launcher started several here."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def default_workers() -> int:
    """Return a number of workers that keeps the cores busy: one more, for one of them always waits for the disk."""
    return min(core_count() + 1, _MOST_WORKERS)


def work_in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    finished: Callable[[Result], None],
    pool: Executor | None = None,
) -> None:
    """Call `work` with each item, in `workers` threads, and `finished` with each result, here and in the items' order.

    Only a few items are under way at a time, however many there are. When anything is raised, by either function or by
    Ctrl-C, no other item is begun; those under way are brought to their end and handed to `finished` before it is
    raised here. With a `pool`, of as many processes, `work` is called there; each has an item more waiting, which is
    under way, too.
    """
    stop = threading.Event()

    def guarded(item: Item) -> Result:
        if stop.is_set():
            raise CancelledError
        try:
            return work(item)
        except BaseException:
            stop.set()
            raise

    pending: deque[Future[Result]] = deque()

    def finish_first() -> None:
        result = pending[0].result()
        pending.popleft()
        finished(result)

    # No process knows of the others' errors: there, only what has not been handed out is not begun.
    call = work if pool else guarded
    with pool or ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                pending.append(pool.submit(call, item))
                if len(pending) > _AHEAD * workers:
                    finish_first()
            while pending:
                finish_first()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            for future in pending:
                # The first error is the one to tell.
                with suppress(BaseException):
                    finished(future.result())
            raise
