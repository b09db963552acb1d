# SPDX-License-Identifier: Apache-2.0
"""Processes that segment the files of a folder: threads wait for Python's lock, these do not."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
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
    from multiprocessing.queues import SimpleQueue


@dataclass(frozen=True)
class Job:
    """What is to be done with every file, in a form that can be told to another process.

    Attributes:
        output, kinds: see :class:`lungseg.inference.outputs.Outputs`.
        weights, device, precision: see :class:`lungseg.inference.predictor.Predictor`.
        overwrite, strict: see :class:`lungseg.inference.pipeline.Pipeline`.
    """

    output: Path
    kinds: tuple[str, ...]
    weights: Path
    device: str
    precision: str
    overwrite: bool
    strict: bool

    def predictor(self) -> Predictor:
        """Return what segments."""
        keep = "probabilities" in self.kinds
        return Predictor(self.weights, self.device, self.precision, keep_probabilities=keep)

    def segmenter(self, predictor: Predictor, part: int) -> Pipeline:
        """Return what segments files and writes their results, as number `part` of those that share the folder."""
        ledger = ResultRecords(self.output, predictor.identity() | {"kinds": sorted(self.kinds)}, part)
        return Pipeline(predictor, Outputs(self.output, self.kinds), ledger, self.overwrite, self.strict)


@contextmanager
def worker_processes(job: Job, parts: Sequence[int]) -> Iterator[Executor]:
    """Start a process for each number of a ledger, for :func:`segment` to be called in, and end them with the block.

    The process that started them alone heeds Ctrl-C.

    Raises:
        LungsegError: one of them was ended from outside.
    """
    # Not forked from this process, whose threads would not come along, but from a server where there is one: it imports
    # what all of them need once, and its memory is shared.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    context.set_forkserver_preload(["lungseg.inference.worker_preload"])
    numbers = context.SimpleQueue()
    for part in parts:
        numbers.put(part)
    try:
        with ProcessPoolExecutor(len(parts), context, _begin, (job, numbers, len(parts))) as pool:
            with _ctrl_c_held_back():
                for _ in parts:
                    pool.submit(os.getpid)
            yield pool
    except BrokenProcessPool as error:
        raise LungsegError(
            "a worker process was ended, by the system for lack of memory or by a picture that crashed its decoder",
            remedy="run it again, which goes on, with fewer --workers",
        ) from error


def segment(files: Sequence[tuple[Path, Path]]) -> list[Outcome]:
    """Segment (path, stem) pairs in one of the processes that `worker_processes` started."""
    return _segmenter(files)


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Heed Ctrl-C after the block, for half a process cannot be ended; those that are started in it never heed it."""
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


def _begin(job: Job, numbers: SimpleQueue, count: int) -> None:
    global _segmenter
    # For systems without such masks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    silence_libraries()
    # As under torchrun, whose variable tells how many share the machine's cores.
    os.environ["LOCAL_WORLD_SIZE"] = str(count * int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    torch.set_num_threads(min(torch.get_num_threads(), core_count()))
    _segmenter = job.segmenter(job.predictor(), numbers.get())


def _end_with_parent() -> None:
    """Leave no worker behind where the process that started it was killed."""
    multiprocessing.parent_process().join()
    os._exit(1)
