# SPDX-License-Identifier: Apache-2.0
"""Which client works on which study, so that two annotators are not given the same one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# In seconds. A client that goes on working renews its reservation in time.
DURATION = 600.0


@dataclass(frozen=True)
class Client:
    """One program in which somebody annotates.

    Attributes:
        user: who is signed in, or without authentication the machine's address.
        id: distinguishes the programs of one user; chosen by the program.
    """

    user: str
    id: str


class Reservations:
    """The reserved studies; a client holds one at a time. Can be called from several threads.

    They live as long as the server: after a new start, an open page reserves its study again.

    Args:
        duration: time in seconds after which a reservation that is not renewed ends.
        clock: returns the time in seconds; must not run backwards.
    """

    def __init__(self, duration: float = DURATION, clock: Callable[[], float] = time.monotonic) -> None:
        self.duration, self._clock = duration, clock
        self._lock = threading.Lock()
        # Study -> its client, and the time when the reservation ends.
        self._held: dict[str, tuple[Client, float]] = {}

    def take(self, study: str, client: Client) -> Client:
        """Reserve a study or renew its reservation, and return who holds it; the client gives up its other study."""
        with self._lock:
            return self._take(study, client)

    def take_first(self, studies: Callable[[], Iterable[str]], client: Client) -> str | None:
        """Reserve the first study that no other client holds, and return it; None if there is none.

        Args:
            studies: returns the studies to choose from, the preferred one first. It is called while no other client
                can take or release a study.
            client: gives up its other study if it gets one.
        """
        with self._lock:
            free = (study for study in studies() if self._holder(study) in (None, client))
            chosen = next(free, None)
            if chosen is not None:
                self._take(chosen, client)
            return chosen

    def release(self, study: str, client: Client) -> None:
        """End a reservation, if it is the client's."""
        with self._lock:
            if self._holder(study) == client:
                del self._held[study]

    def of_others(self, client: Client) -> dict[str, Client]:
        """Return the studies that other clients hold, with these clients."""
        with self._lock:
            holders = {study: self._holder(study) for study in list(self._held)}
        return {study: holder for study, holder in holders.items() if holder not in (None, client)}

    def _holder(self, study: str) -> Client | None:
        holder, ends = self._held.get(study, (None, 0.0))
        if holder is not None and ends <= self._clock():
            del self._held[study]
            return None
        return holder

    def _take(self, study: str, client: Client) -> Client:
        for other in [held for held, (holder, _) in self._held.items() if holder == client and held != study]:
            del self._held[other]
        holder = self._holder(study) or client
        if holder == client:
            self._held[study] = client, self._clock() + self.duration
        return holder
