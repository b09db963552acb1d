# SPDX-License-Identifier: Apache-2.0
"""Hand the files of a run to threads or processes; files that may kill the process come last and alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from logging import LogRecord
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import torch

from lungseg.inference.pipeline import Outcome, Pipeline
from lungseg.inference.predictor import Predictor
from lungseg.inference.record_index import RecordIndex
from lungseg.inference.records import ResultRecords
from lungseg.inference.under_way import take_notes
from lungseg.inference.workers import Job, Task, WorkerKilledError, log_again, segment, worker_processes
from lungseg.utils.errors import LungsegError
from lungseg.utils.parallel import core_count, work_in_order

logger = logging.getLogger(__name__)

File: TypeAlias = tuple[Path, Path]


def note_kills(index: RecordIndex, part: int = 0, ended: Sequence[int] | None = None) -> set[str]:
    """Record the inputs during which processes were killed, and return the names of their results.

    Args:
        index: of the record.
        part: number of a record that no other process writes to.
        ended: parts of the processes that have ended; None for all, at the start of a run.

    Raises:
        LungsegError: the record cannot be written.
    """
    if notes := take_notes(index.folder, ended):
        records = ResultRecords(index.folder, {}, part, index)
        for name, content in notes.items():
            records.add_kill(Path(name), content)
    return set(notes)


def kills_process(path: str | PathLike[str]) -> LungsegError:
    """Return the error of a file during which processes were killed."""
    return LungsegError(
        "a process was killed twice while this file was under way, the second time alone: it may need too much "
        "memory, or crash a decoder",
        path,
        "try it once more with --overwrite on a machine with more memory",
        code="kills-process",
    )


@dataclass
class Schedule:
    """The files that one process has to segment, by itself or in worker processes.

    Attributes:
        job: the settings of the run.
        predictor: the network, loaded in this process.
        parts: numbers of records, one for each worker process; the first one is this process's own if there are none.
        size: files per batch.
        index: of the record.
        finished: receives the outcomes, not in the order of the files.
    """

    job: Job
    predictor: Predictor
    parts: Sequence[int]
    size: int
    index: RecordIndex
    finished: Callable[[list[Outcome]], None]
    _done: set[str] = field(default_factory=set)

    def __call__(self, files: Sequence[File], processes: bool) -> None:
        """Segment (path, stem) pairs.

        Raises:
            LungsegError: no file can be written, or workers are killed before they begin.
        """
        ordinary, suspects = [], []
        for file in files:
            if not self.index.was_killed(file[1]) or not (entry := self.index.find(file[1])).kills:
                ordinary.append(file)
            elif self.job.overwrite or not entry.kills_process(file[0]):
                suspects.append(file)
            else:
                self._fail(file)
        if suspects:
            logger.info("A run was killed while these were under way; they come last, and alone: %d", len(suspects))
        if processes:
            self._in_processes(ordinary, suspects)
        else:
            self._in_threads(ordinary, suspects)

    def _in_threads(self, ordinary: Sequence[File], suspects: Sequence[File]) -> None:
        pipeline = self._pipeline()
        with _cores_shared(len(self.parts)):
            work_in_order(pipeline, _batches(ordinary, self.size), len(self.parts), self._finish)
        work_in_order(pipeline, _batches(suspects, 1), 1, self._finish)

    def _in_processes(self, ordinary: Sequence[File], suspects: Sequence[File]) -> None:
        """Give the files to worker processes, and those during which one was killed to a new one, alone."""
        names = {str(stem) for _, stem in (*ordinary, *suspects)}
        workers = len(self.parts)
        while ordinary or suspects:
            alone = not ordinary
            batches = _batches(suspects, 1) if alone else _batches(ordinary, self.size)
            parts = self.parts[: 1 if alone else min(workers, -(-len(ordinary) // self.size))]
            before = len(self._done)
            try:
                with worker_processes(self.job, parts, self.index.generation) as pool:
                    work = map(self._task, batches)
                    work_in_order(segment, work, len(parts), self._finish_elsewhere, pool)
            except WorkerKilledError as error:
                # The workers have written to the record.
                self.index = RecordIndex.read(self.index.folder, names)
                killed = note_kills(self.index, self.parts[0], parts)
                if len(self._done) == before and not killed:
                    raise
                logger.debug("%s", error)
                # The memory may have been too small for so many.
                workers = max(1, workers // 2)
                again = [file for file in ordinary if str(file[1]) in killed]
                if alone:
                    for file in self._left(suspects):
                        if str(file[1]) in killed:
                            self._fail(file)
                ordinary = [file for file in self._left(ordinary) if file not in again]
                suspects = self._left([*suspects, *again])
            else:
                ordinary, suspects = [], [] if alone else suspects

    def _left(self, files: Sequence[File]) -> list[File]:
        return [file for file in files if str(file[0]) not in self._done]

    def _fail(self, file: File) -> None:
        self._finish([self._pipeline().fail(*file, kills_process(file[0]))])

    def _pipeline(self) -> Pipeline:
        return self.job.pipeline(self.predictor, self.parts[0], self.index)

    def _task(self, files: Sequence[File]) -> Task:
        return [(*file, self.index.lines(file[1])) for file in files]

    def _finish(self, outcomes: list[Outcome]) -> None:
        self._done.update(outcome.row.file for outcome in outcomes)
        self.finished(outcomes)

    def _finish_elsewhere(self, result: tuple[list[Outcome], list[LogRecord]]) -> None:
        outcomes, logged = result
        log_again(logged)
        self._finish(outcomes)


def _batches(files: Sequence[File], size: int) -> Iterator[Sequence[File]]:
    return (files[start : start + size] for start in range(0, len(files), size))


@contextmanager
def _cores_shared(workers: int) -> Iterator[None]:
    """Let each worker compute with its share of the cores alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, core_count() // workers)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
