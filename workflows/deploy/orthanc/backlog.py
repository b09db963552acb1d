# SPDX-License-Identifier: Apache-2.0
"""What the change feed has told of and is not done yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lungseg.workflows.deploy.orthanc.client import Change

_FIRST_DELAY, _LONGEST_DELAY = 10.0, 300.0


@dataclass
class _Waiting:
    sequence: int
    ask_at: float
    delay: float = _FIRST_DELAY


class Backlog:
    """Instances that arrived and studies that could not be processed, until their study is done.

    Args:
        sequence: of the last change that is done.
        ask_after: seconds until one asks whether the study of an instance is stable. Orthanc tells by itself, but not
            of studies that were still arriving when it was stopped.
        clock: seconds from any point in time.
    """

    def __init__(self, sequence: int, ask_after: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.read, self.ask_after = sequence, ask_after
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}

    def add(self, change: Change) -> None:
        """Take note of a change."""
        self.read = max(self.read, change.sequence)
        if change.kind in ("NewInstance", "StableStudy"):
            ask_at = self._clock() + self.ask_after
            self._waiting.setdefault(change.resource, _Waiting(change.sequence, ask_at))

    def done(self, resources: Iterable[str]) -> None:
        """Forget a study and its instances."""
        for resource in resources:
            self._waiting.pop(resource, None)

    def join(self, instance: str, study: str) -> None:
        """Let an instance wait with its study from now on: as long as that, if that waits already."""
        alone = self._waiting[instance]
        together = self._waiting.setdefault(study, alone)
        together.sequence = min(together.sequence, alone.sequence)
        self._waiting[instance] = together

    def postpone(self, resource: str) -> None:
        """Ask again later, each time after twice as long, about it and what waits with it."""
        waiting = self._waiting[resource]
        waiting.ask_at = self._clock() + waiting.delay
        waiting.delay = min(2 * waiting.delay, _LONGEST_DELAY)

    def due(self) -> list[str]:
        """Return the instances and studies to ask about now, those that came first at the front."""
        return [resource for resource in self._waiting if self.is_due(resource)]

    def is_due(self, resource: str) -> bool:
        """Whether it still waits, and is to be asked about now."""
        waiting = self._waiting.get(resource)
        return waiting is not None and waiting.ask_at <= self._clock()

    @property
    def sequence(self) -> int:
        """The number up to which all is done: reading on from there misses nothing."""
        return min((waiting.sequence - 1 for waiting in self._waiting.values()), default=self.read)
