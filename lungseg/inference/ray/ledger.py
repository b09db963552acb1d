# SPDX-License-Identifier: Apache-2.0
"""What all processes of a run have to know of it: names, earlier rows, and which radiographs kill processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lungseg.inference.ray.results import Known, key_of

# Processes that a radiograph must have killed before it is to blame: one may have been taken away with its machine.
_KILLS = 2


@dataclass(frozen=True)
class Turn:
    """What a process has to know about a batch.

    Attributes:
        stems: the name of each input's results.
        known: key -> what is known of earlier rows.
        again: a process was killed during the batch; its radiographs are to be segmented one by one.
        killers: the inputs that killed processes which segmented them alone.
    """

    stems: Sequence[str]
    known: Mapping[str, Known] = field(default_factory=dict)
    again: bool = False
    killers: frozenset[str] = frozenset()


class Ledger:
    """Answers the processes of a run; itself an actor of Ray.

    Args:
        stems: input -> the name of its results.
        known: key -> what is known of earlier rows.
    """

    def __init__(self, stems: Mapping[str, str], known: Mapping[str, Known]) -> None:
        self._stems, self._known = stems, known
        self._begun: Counter[str] = Counter()
        self._alone: dict[str, str] = {}
        self._kills: Counter[str] = Counter()

    def begin(self, batch: str, files: Sequence[str]) -> Turn:
        """Note that a process begins a batch. If it was begun before and did not end, that process was killed."""
        if file := self._alone.pop(batch, None):
            self._kills[file] += 1
        again = self._begun[batch] > 0
        self._begun[batch] += 1
        stems = [self._stems[file] for file in files]
        known = {key: self._known[key] for key in map(key_of, stems) if key in self._known}
        killers = frozenset(file for file in files if self._kills[file] >= _KILLS)
        return Turn(stems, known, again, killers)

    def alone(self, batch: str, file: str) -> None:
        """Note that an input of the batch is segmented alone now."""
        self._alone[batch] = file

    def end(self, batch: str) -> None:
        """Note that the batch is done."""
        self._alone.pop(batch, None)
        del self._begun[batch]
