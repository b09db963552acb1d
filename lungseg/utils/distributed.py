# SPDX-License-Identifier: Apache-2.0
"""Processes that PyTorch's launcher `torchrun` started for one task."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

from lungseg.utils.errors import LungsegError

Item = TypeVar("Item")

# One process may finish days before another on a slower machine.
_PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Processes:
    """This process among the processes of the task.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return this process's part of the items; each item is in exactly one part."""
        return items[self.rank :: self.size]

    def broadcast_first(self, value: Any) -> Any:
        """Return the first process's value in all of them."""
        if self.size == 1:
            return value
        from torch.distributed import broadcast_object_list

        values = [value]
        broadcast_object_list(values, src=0)
        return values[0]

    def first_decides(self, decide: Callable[[], Item]) -> Item:
        """Call a function in the first process, and return its value in all of them.

        Raises:
            LungsegError: the function raised it; all processes do.
        """
        decided: Item | LungsegError | None = None
        if self.rank == 0:
            try:
                decided = decide()
            except LungsegError as refused:
                decided = refused
        answer: Any = self.broadcast_first(decided)
        if isinstance(answer, LungsegError):
            raise answer
        return cast(Item, answer)

    def gather(self, value: Item) -> list[Item]:
        """Return the values of all processes, in the order of their ranks; all processes wait for the last one."""
        if self.size == 1:
            return [value]
        from torch.distributed import all_gather_object

        values: list[Any] = [None] * self.size
        all_gather_object(values, value)
        return values


def interleave(parts: Sequence[Sequence[Item]]) -> list[Item]:
    """Put the parts that `Processes.share` made back together, in the first order."""
    whole: list[Any] = [None] * sum(len(part) for part in parts)
    for rank, part in enumerate(parts):
        whole[rank :: len(parts)] = part
    return whole


def launched_rank() -> int:
    """Return the rank that `torchrun` gave to this process; 0 without it."""
    return int(os.environ.get("RANK", "0")) if "TORCHELASTIC_RUN_ID" in os.environ else 0


@contextmanager
def launched_processes() -> Iterator[Processes]:
    """Join the processes that `torchrun` started, if it did, for the duration of a block."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
        yield Processes()
        return
    import torch.distributed as group

    # Rows of text are exchanged, never images: the CPU's way is enough, also where the network is on a GPU.
    group.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield Processes(group.get_rank(), group.get_world_size())
    finally:
        group.destroy_process_group()
