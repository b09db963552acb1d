# SPDX-License-Identifier: Apache-2.0
"""Processes that segment the files of a folder; unlike threads, they do not wait for Python's lock."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from logging import LogRecord
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

import torch

from lungseg.inference.choices import CROP_MARGIN
from lungseg.inference.memory import MemoryBudget
from lungseg.inference.outputs import Outputs
from lungseg.inference.pipeline import Outcome, Pipeline
from lungseg.inference.predictor import Predictor
from lungseg.inference.record_index import RecordIndex
from lungseg.inference.record_lines import Line
from lungseg.inference.records import ResultRecords
from lungseg.utils.errors import LungsegError
from lungseg.utils.imports import silence_libraries
from lungseg.utils.parallel import ProcessPool, core_count
from lungseg.utils.signals import STOPS, stops_held_back

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue as Numbers


# The path and the stem of files, and where the lines about them are in the record, as far as there are any.
Task: TypeAlias = Sequence[tuple[Path, Path, tuple[Line, ...]]]

_pipeline: Pipeline | None = None
_is_busy = False


@dataclass(frozen=True)
class Job:
    """The settings of a run, which another process can be given.

    Attributes:
        output, kinds, crop_margin: see :class:`lungseg.inference.outputs.Outputs`.
        weights, device, precision, extent, heart, ctr, trust: see :class:`lungseg.inference.predictor.Predictor`.
        overwrite, strict: see :class:`lungseg.inference.pipeline.Pipeline`.
        private: other users may not read the files.
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
    private: bool = False
    trust: bool = False
    crop_margin: float = CROP_MARGIN

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

    def pipeline(
        self, predictor: Predictor, part: int, index: RecordIndex, budget: MemoryBudget | None = None
    ) -> Pipeline:
        """Build the pipeline of process number `part` of those that share the output folder, and a memory budget."""
        records = ResultRecords(self.output, predictor.identity(), part, index)
        outputs = Outputs(self.output, self.kinds, self.crop_margin)
        return Pipeline(predictor, outputs, records, self.overwrite, self.strict, budget)


class WorkerKilledError(LungsegError):
    """A worker process was killed, most often because the memory ran out."""


@contextmanager
def worker_processes(job: Job, parts: Sequence[int], generation: int) -> Iterator[ProcessPool]:
    """Start a process for each number of a record, in which :func:`segment` can be called; the block's end stops them.

    Only the process that started them reacts to Ctrl-C. They do not read the record, whose highest `generation` they
    are given: :func:`segment` takes what is known of the files.

    Raises:
        WorkerKilledError: one of them was killed; the others have ended.
    """
    # They are not forked from this process, whose threads would be missing, but, where possible, from a server that
    # imports the libraries once and shares their memory.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    context.set_forkserver_preload(["lungseg.inference.worker_preload"])
    numbers: Numbers[int] = context.SimpleQueue()
    for part in parts:
        numbers.put(part)
    budget = MemoryBudget(len(parts), context)
    log_level = logging.getLogger("lungseg").getEffectiveLevel()
    arguments = (job, numbers, budget, len(parts), generation, log_level)
    try:
        with ProcessPool(len(parts), context, _begin, arguments) as pool:
            # No process is half started, and those that are started ignore Ctrl-C.
            with stops_held_back(inherited=True):
                for _ in parts:
                    pool.submit(os.getpid)
            yield pool
    except BrokenProcessPool as error:
        raise WorkerKilledError(
            "a worker process was killed: the memory ran out, or a picture crashed its decoder",
            remedy="run the command again with fewer --workers; it goes on from here",
            code="worker-killed",
        ) from error


def segment(task: Task) -> tuple[list[Outcome], list[LogRecord]]:
    """Segment files in one of the processes that `worker_processes` started.

    Returns:
        The outcomes, and the log records of that time, for `log_again` in the process that started them.
    """
    global _is_busy
    assert _pipeline is not None
    _is_busy = True
    index = _pipeline.records.index
    try:
        for _, stem, lines in task:
            index.learn(stem, lines)
        return _pipeline([(path, stem) for path, stem, _ in task]), _log.take()
    except KeyboardInterrupt:  # of `_end`: what was half written has been removed by now
        os._exit(1)
    finally:
        for _, stem, _ in task:
            index.forget(stem)
        _is_busy = False


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


def _begin(job: Job, numbers: Numbers[int], budget: MemoryBudget, count: int, generation: int, log_level: int) -> None:
    global _pipeline
    # For systems without such masks. The closed terminal is the business of the process that started this one.
    for number in set(STOPS) - {signal.SIGTERM}:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    silence_libraries()
    if job.private:
        os.umask(0o077)
    # The variable of torchrun, which says how many processes share the machine's cores.
    os.environ["LOCAL_WORLD_SIZE"] = str(count * int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    torch.set_num_threads(min(torch.get_num_threads(), core_count()))
    _pipeline = job.pipeline(job.predictor(), numbers.get(), RecordIndex(job.output, generation), budget)
    # Not before: the process that started this one has logged what loading the network logs.
    logger = logging.getLogger("lungseg")
    logger.setLevel(log_level)
    logger.addHandler(_log)
    logger.propagate = False
    # The pool sends it to the other workers when one was killed.
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: object) -> None:
    """End this worker, without half-written files."""
    if _is_busy:
        raise KeyboardInterrupt
    os._exit(1)


def _end_with_parent() -> None:
    """End this worker when the process that started it is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
