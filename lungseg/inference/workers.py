# SPDX-License-Identifier: Apache-2.0
"""Processes that segment the files of a folder; unlike threads, they do not wait for Python's lock."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from logging import LogRecord
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import torch

from lungseg.inference.outputs import Outputs
from lungseg.inference.pipeline import Outcome, Pipeline
from lungseg.inference.predictor import Predictor
from lungseg.inference.records import ResultRecords
from lungseg.utils.errors import LungsegError
from lungseg.utils.imports import silence_libraries
from lungseg.utils.parallel import core_count

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue as Numbers


_pipeline: Pipeline | None = None


@dataclass(frozen=True)
class Job:
    """The settings of a run, which another process can be given.

    Attributes:
        output, kinds: see :class:`lungseg.inference.outputs.Outputs`.
        weights, device, precision, extent, heart, ctr, trust: see :class:`lungseg.inference.predictor.Predictor`.
        overwrite, strict: see :class:`lungseg.inference.pipeline.Pipeline`.
    """

    output: Path
    kinds: tuple[str, ...]
    weights: Path
    device: str
    precision: str
    overwrite: bool
    strict: bool
    extent: str = "visible"
    heart: bool = False
    ctr: str = "auto"
    trust: bool = False

    def predictor(self) -> Predictor:
        """Load the network.

        Raises:
            UsageError: the heart or the full extent is asked of weights that do not know the heart.
        """
        predictor = Predictor(
            self.weights,
            device=self.device,
            precision=self.precision,
            keep_probabilities="probabilities" in self.kinds,
            extent=self.extent,
            heart=self.heart,
            ctr=self.ctr,
            trust=self.trust,
        )
        if "heart" in self.kinds:
            predictor.check_knows_heart()
        return predictor

    def pipeline(self, predictor: Predictor, part: int) -> Pipeline:
        """Build the pipeline of process number `part` of those that share the output folder."""
        records = ResultRecords(self.output, predictor.identity(), part)
        return Pipeline(predictor, Outputs(self.output, self.kinds), records, self.overwrite, self.strict)


@contextmanager
def worker_processes(job: Job, parts: Sequence[int]) -> Iterator[Executor]:
    """Start a process for each number of a record, in which :func:`segment` can be called; the block's end stops them.

    Only the process that started them reacts to Ctrl-C.

    Raises:
        LungsegError: one of them was killed.
    """
    # They are not forked from this process, whose threads would be missing, but, where possible, from a server that
    # imports the libraries once and shares their memory.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    context.set_forkserver_preload(["lungseg.inference.worker_preload"])
    numbers: Numbers[int] = context.SimpleQueue()
    for part in parts:
        numbers.put(part)
    log_level = logging.getLogger("lungseg").getEffectiveLevel()
    try:
        with ProcessPoolExecutor(len(parts), context, _begin, (job, numbers, len(parts), log_level)) as pool:
            with _ctrl_c_held_back():
                for _ in parts:
                    pool.submit(os.getpid)
            yield pool
    except BrokenProcessPool as error:
        raise LungsegError(
            "a worker process was killed: the memory ran out, or a picture crashed its decoder",
            remedy="run the command again with fewer --workers; it goes on from here",
            code="worker-killed",
        ) from error


def segment(files: Sequence[tuple[Path, Path]]) -> tuple[list[Outcome], list[LogRecord]]:
    """Segment (path, stem) pairs in one of the processes that `worker_processes` started.

    Returns:
        The outcomes, and the log records of that time, for `log_again` in the process that started them.
    """
    assert _pipeline is not None
    return _pipeline(files), _log.take()


def log_again(records: Sequence[LogRecord]) -> None:
    """Log in this process what a worker logged."""
    for record in records:
        logging.getLogger(record.name).handle(record)


class _Log(QueueHandler):
    """Keeps what is logged, in a form that can be pickled."""

    def __init__(self) -> None:
        self.records: SimpleQueue[LogRecord] = SimpleQueue()
        super().__init__(self.records)

    def take(self) -> list[LogRecord]:
        """Return what was logged since the last call."""
        return [self.records.get() for _ in range(self.records.qsize())]


_log = _Log()


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Delay Ctrl-C until the block ends, so that no process is half started; those started in it ignore Ctrl-C."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    pressed: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    # Processes inherit the mask, but not the handler. This process's other threads have no mask.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if pressed:
            signal.raise_signal(signal.SIGINT)


def _begin(job: Job, numbers: Numbers[int], count: int, log_level: int) -> None:
    global _pipeline
    # For systems without such masks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    silence_libraries()
    # As under torchrun, whose variable says how many processes share the machine's cores.
    os.environ["LOCAL_WORLD_SIZE"] = str(count * int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    torch.set_num_threads(min(torch.get_num_threads(), core_count()))
    _pipeline = job.pipeline(job.predictor(), numbers.get())
    # Not before: the process that started this one has logged what loading the network logs.
    logger = logging.getLogger("lungseg")
    logger.setLevel(log_level)
    logger.addHandler(_log)
    logger.propagate = False


def _end_with_parent() -> None:
    """End this worker when the process that started it is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
