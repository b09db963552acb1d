# SPDX-License-Identifier: Apache-2.0
"""Processes that PyTorch's launcher `torchrun` started for one task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from lungseg.utils.errors import LungsegError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """This process among the processes of the task.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

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
