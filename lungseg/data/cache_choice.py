# SPDX-License-Identifier: Apache-2.0
"""Where the prepared cases of a training are held: in memory if they all fit, else on disk, else nowhere."""

from __future__ import annotations

import logging
import multiprocessing
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import Dataset
from monai.transforms import Compose

from lungseg.data.cached import NamedCacheDataset
from lungseg.data.cached_on_disk import DISK_RESERVE, DiskCacheDataset, is_packable, pack, prepare, remove_cases
from lungseg.utils.distributed import Processes
from lungseg.utils.errors import UsageError
from lungseg.utils.memory import free_memory
from lungseg.utils.parallel import local_processes

logger = logging.getLogger(__name__)

KINDS = ("auto", "memory", "disk", "none")
# Cases of a list that are prepared to estimate the size of all of them.
_SAMPLE = 8
# Sizes differ from case to case.
_MARGIN = 1.1
# Python's objects in a case.
_CASE_BYTES = 4096
# Memory for the training itself, for each worker, and for each pixel of a batch. Measured with the bundle's network on
# a processor: 0.3 GiB more at 8 x 256 x 256 pixels, 0.9 GiB at 8 x 512 x 512, and 0.2 to 0.3 GiB a worker.
_TRAINING_BYTES = 2**29
_WORKER_BYTES = 2**29
_PIXEL_BYTES = 2**10
_GIB = 2**30


class Caches:
    """Decide, for all lists of a training together, where their prepared cases are held, and say so in a line.

    A case is held as it is after the transforms that are not random. All cases are held in memory if they fit there,
    beside the training and its workers; else on disk, if they fit there; else nowhere, and each epoch prepares them
    anew. The results are the same.

    Attach it to the trainer: files in the run's own folder are removed when the training ends, and stay when it is
    stopped, for the run to go on.

    Args:
        lists: name, such as "training" -> {"data": cases, "transform": MONAI Compose}.
        run: folder of the run.
        kind: "auto", or "memory", "disk" or "none" whatever the sizes; a disk that is too small is never filled.
        memory: GiB of memory that are free for the training; None: those that the system says.
        folder: a folder whose sub-folder `lungseg` keeps the files for later runs; None: `cache` in the run's folder.
        workers: number of a data loader's processes.
        batch: number of images of a batch, and the pixels of a side.
        progress: whether to log the line, and the loading.

    Attributes:
        kind: where the cases are held: "memory", "disk" or "none".
        line: says so.

    Raises:
        UsageError: the kind (cache-unknown) or the memory (cache-memory-invalid) is not possible, or the folder cannot
            be written to.
        LungsegError: a case cannot be read.
    """

    def __init__(
        self,
        lists: Mapping[str, Mapping[str, Any]],
        run: str | PathLike[str],
        kind: str = "auto",
        memory: float | None = None,
        folder: str | PathLike[str] | None = None,
        workers: int = 0,
        batch: tuple[int, int] = (0, 0),
        progress: bool = True,
    ) -> None:
        if kind not in KINDS:
            what = f"cache: there is no kind of cache {kind!r}"
            raise UsageError(what, remedy=f"choose {', '.join(KINDS)}", code="cache-unknown")
        if memory is not None and (isinstance(memory, bool) or not isinstance(memory, int | float) or memory <= 0):
            what = f"cache_memory: {memory!r} is not a number of GiB"
            raise UsageError(what, remedy="give a number over 0, such as 8", code="cache-memory-invalid")
        self.folder = Path(run, "cache") if folder is None else Path(folder, "lungseg")
        self._is_kept, self._progress = folder is not None, progress
        self._lists = {name: _List(**items) for name, items in lists.items()}
        self.kind, self.line = self._choose(kind, _share(memory, workers, batch[0] * batch[1] ** 2), _copies(workers))
        if progress and _processes().rank == 0:
            logger.info("%s", self.line)

    def attach(self, engine: Any) -> None:
        """Attach to a MONAI Trainer."""
        from ignite.engine import Events

        engine.add_event_handler(Events.COMPLETED, self.remove)

    def remove(self) -> None:
        """Remove the files, unless they are kept for later runs."""
        if not self._is_kept:
            remove_cases(self.folder)

    def dataset(self, name: str) -> Dataset:
        """Return the MONAI Dataset of a list."""
        one = self._lists[name]
        if self.kind == "memory":
            return NamedCacheDataset(one.data, one.transform, name, self._progress, one.prepared, num_workers=2)
        one.prepared.clear()
        if self.kind == "disk":
            return DiskCacheDataset(one.data, one.transform, self.folder)
        return Dataset(one.data, one.transform)

    def _choose(self, kind: str, free: int | None, copies: int) -> tuple[str, str]:
        """Return where the cases are held, and the line."""
        lists = self._lists
        images = f"{' and '.join(f'{len(one.data):,} {name}' for name, one in lists.items())} images"
        if kind == "none":
            return "none", f"Cache: none. Each epoch prepares {images} anew."
        for one in lists.values():
            one.take_sample()
        held = copies * sum(one.bytes(memory_bytes) for one in lists.values())
        of_free = "" if free is None else f" of {_size(free)}"
        if kind == "memory" or (kind == "auto" and (free is None or held <= free)):
            return "memory", f"Cache: {images} in memory ({_size(held)}{of_free} free)."
        if not all(is_packable(case) for one in lists.values() for case in one.prepared.values()):
            what = "Their transforms add objects that a file cannot hold"
            return "none", f"Cache: none. Each epoch prepares {images} anew. {what}."
        size, missing = self._disk_bytes()
        room = shutil.disk_usage(self.folder).free - DISK_RESERVE
        # A run that goes on uses the files that it has, and adds some while there is room.
        if missing > room and missing == size:
            self.remove()
            what = f"They take {_size(held)}{of_free} free in memory"
            what += f" and {_size(missing)} of {_size(max(0, room))} free on the disk of {self.folder}"
            return "none", f"Cache: none. Each epoch prepares {images} anew. {what}."
        done = f", of which {_size(size - missing)} are there" if missing < size else ""
        count = sum(len(one.data) for one in lists.values())
        fitting = "" if free is None or held <= free else f"; the memory would hold {int(count * free / held):,}"
        return "disk", f"Cache: {images} on disk in {self.folder} ({_size(size)}{done}{fitting})."

    def _disk_bytes(self) -> tuple[int, int]:
        """Return the sizes of all files, and of those that are not there yet."""
        size = missing = 0
        for one in self._lists.values():
            one_size = one.bytes(lambda case: len(pack(case)))
            size += one_size
            missing += one_size * DiskCacheDataset(one.data, one.transform, self.folder).missing() // len(one.data)
        return size, missing


def cached_dataset(caches: Caches, name: str, data: Sequence[Any], transform: Compose) -> Dataset:
    """Return the dataset of a list of `caches`, as an item of a config.

    Args:
        caches: made from the data and the transform of this item, among others.
        name: of the list.
        data, transform: those of the list; they are stated here because MONAI's tools look for them in a dataset.
    """
    return caches.dataset(name)


@dataclass
class _List:
    """The cases of a list, and a sample of them that is prepared, by index."""

    data: Sequence[Mapping[str, Any]]
    transform: Compose
    prepared: dict[int, Any] = field(default_factory=dict)

    def take_sample(self) -> None:
        for index in range(0, len(self.data), -(-len(self.data) // _SAMPLE)):
            self.prepared[index] = prepare(self.data[index], self.transform)

    def bytes(self, size: Callable[[Any], int]) -> int:
        """Return the estimated sum of a size over all cases."""
        sizes = [size(case) for case in self.prepared.values()]
        return int(_MARGIN * len(self.data) * sum(sizes) / len(sizes))


def memory_bytes(prepared: Any) -> int:
    """Return how much memory a prepared case takes."""
    if isinstance(prepared, Mapping):
        return _CASE_BYTES + sum(memory_bytes(value) for value in prepared.values())
    if isinstance(prepared, torch.Tensor):
        return prepared.untyped_storage().nbytes()
    return prepared.nbytes if isinstance(prepared, np.ndarray) else 0


def _size(number: float) -> str:
    return f"{number / _GIB:.1f} GiB" if number >= _GIB else f"{number / 2**20:.0f} MiB"


def _share(memory: float | None, workers: int, batch_pixels: int) -> int | None:
    """Return the bytes that this process's caches may take; None where the free memory is not known."""
    free = free_memory() if memory is None else int(memory * _GIB)
    if free is not None:
        reserve = _TRAINING_BYTES + workers * _WORKER_BYTES + batch_pixels * _PIXEL_BYTES
        free = max(0, free // local_processes() - reserve)
    # The processes of a launcher look before any of them loads, and decide alike.
    known = [one for one in _processes().gather(free) if one is not None]
    return min(known, default=None)


def _processes() -> Processes:
    if not torch.distributed.is_initialized():
        return Processes()
    return Processes(torch.distributed.get_rank(), torch.distributed.get_world_size())


def _copies(workers: int) -> int:
    """Return how many processes hold the cases: workers that are forked share them."""
    start = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    return 1 if start == "fork" else 1 + workers
