# SPDX-License-Identifier: Apache-2.0
"""Process many items in parallel, with results in order and a clean stop."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from lungseg.utils.signals import stops_held_back

Item = TypeVar("Item")
Result = TypeVar("Result")

# More threads would wait for Python's global lock, and each worker holds a radiograph in memory.
_MOST_WORKERS = 8
# So many later items per worker are processed before a slow one holds them up.
_AHEAD = 16


def core_count() -> int:
    """Return how many cores this process may use: a share of them when a launcher started several processes here."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // local_processes())


def local_processes() -> int:
    """Return how many processes a launcher such as `torchrun` started on this machine; 1 without a launcher."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def default_workers() -> int:
    """Return the number of workers that keeps the cores busy: one more than cores, since one waits for the disk."""
    return min(core_count() + 1, _MOST_WORKERS)


class ProcessPool(ProcessPoolExecutor):
    """Processes that can be killed; see :class:`concurrent.futures.ProcessPoolExecutor`."""

    def __init__(self, *arguments: Any) -> None:
        self._others = set(multiprocessing.active_children())
        super().__init__(*arguments)

    def kill(self) -> None:
        """Kill the processes, whatever they do, and wait for their end."""
        for process in self._own():
            process.kill()
        self.wait()

    def wait(self) -> None:
        """Wait for the end of the processes, after `shutdown` or `kill`."""
        sentinels = {process.sentinel for process in self._own()}
        while sentinels:
            sentinels.difference_update(connection.wait(sentinels))

    def _own(self) -> set[BaseProcess]:
        return set(multiprocessing.active_children()) - self._others


def work_in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    finished: Callable[[Result], None],
    pool: ProcessPool | None = None,
) -> None:
    """Call `work` with each item in `workers` threads, and `finished` with each result, in this thread and in order.

    Only a few items are in progress at a time. When either function or Ctrl-C raises an exception, no further item is
    started; the items in progress are completed and given to `finished`, and then the exception is raised here. After
    another Ctrl-C, the items in progress are given up: processes are killed, and threads go on until the program ends.

    Args:
        work: processes an item.
        items: any number of items; they are taken when they are needed.
        workers: number of threads, or of the pool's processes.
        finished: receives each result.
        pool: processes to call `work` in, instead of threads. Each has one more item waiting, which counts as in
            progress.
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

    # Processes do not know of each other's errors: there, only items that were not handed out are not started.
    call = work if pool else guarded
    executor: Executor = pool or ThreadPoolExecutor(workers)
    try:
        for item in items:
            pending.append(executor.submit(call, item))
            if len(pending) > _AHEAD * workers:
                finish_first()
        while pending:
            finish_first()
    except BaseException:
        stop.set()
        try:
            # The pool itself has to cancel what was not begun: it fails if others do it while a worker is killed.
            executor.shutdown(wait=False, cancel_futures=True)
            _finish_rest(pending, finished)
            pool.wait() if pool else executor.shutdown()
        except KeyboardInterrupt:
            if pool:
                with stops_held_back():
                    pool.kill()
        raise
    executor.shutdown()


def _finish_rest(pending: Iterable[Future[Result]], finished: Callable[[Result], None]) -> None:
    """Wait for what is in progress; errors are passed over, because the first one is the one to raise."""
    for future in pending:
        with suppress(CancelledError):
            if future.exception() is None:
                with suppress(Exception):
                    finished(future.result())
