# SPDX-License-Identifier: Apache-2.0
"""The changes that were read from the feed and are not done yet."""

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
    """Instances that arrived and studies that were postponed, until their study is done.

    Args:
        sequence: number of the last change that is done.
        ask_after: seconds until the worker asks whether the study of an instance is stable. Orthanc reports stable
            studies by itself, except those that were still arriving when it was stopped.
        clock: returns seconds since any fixed time.

    Attributes:
        read: number of the last change that was read.
    """

    def __init__(self, sequence: int, ask_after: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.read, self.ask_after = sequence, ask_after
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}

    def add(self, change: Change) -> None:
        """Add a change."""
        self.read = max(self.read, change.sequence)
        if change.kind in ("NewInstance", "StableStudy"):
            ask_at = self._clock() + self.ask_after
            self._waiting.setdefault(change.resource, _Waiting(change.sequence, ask_at))

    def done(self, resources: Iterable[str]) -> None:
        """Remove a study and its instances."""
        for resource in resources:
            self._waiting.pop(resource, None)

    def join(self, instance: str, study: str) -> None:
        """Let an instance wait with its study from now on, with the delay of the study if that is waiting already."""
        alone = self._waiting[instance]
        together = self._waiting.setdefault(study, alone)
        together.sequence = min(together.sequence, alone.sequence)
        self._waiting[instance] = together

    def postpone(self, resource: str) -> float:
        """Ask again later about a study or instance and all that waits with it; return the delay in seconds.

        Each delay is twice as long as the one before, at most five minutes.
        """
        waiting = self._waiting[resource]
        delay = waiting.delay
        waiting.ask_at = self._clock() + delay
        waiting.delay = min(2 * delay, _LONGEST_DELAY)
        return delay

    def due(self) -> list[str]:
        """Return the instances and studies to ask about now, in the order of their arrival."""
        return [resource for resource in self._waiting if self.is_due(resource)]

    def is_due(self, resource: str) -> bool:
        """Return whether a study or instance still waits and it is time to ask about it."""
        waiting = self._waiting.get(resource)
        return waiting is not None and waiting.ask_at <= self._clock()

    @property
    def sequence(self) -> int:
        """The number up to which all changes are done: a worker that continues after it misses nothing."""
        return min((waiting.sequence - 1 for waiting in self._waiting.values()), default=self.read)
