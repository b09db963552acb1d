# SPDX-License-Identifier: Apache-2.0
"""One queue before every decode: pictures and label maps need memory, so only a few are decoded at a time.

A route that reads a radiograph or a label map names the queue in its decorator; it then runs in a thread, while it has
one of the slots:

    @router.get("/…", dependencies=[IN_DECODING_QUEUE])
    def route(...): ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import Depends, HTTPException
from monailabel.config import settings

# Requests that wait, and the seconds that each of them waits.
_QUEUE_LENGTH = 100
_PATIENCE = 60.0
_RETRY_AFTER = 10


class DecodingQueue:
    """Gives a few requests at a time a slot; the others wait on the event loop, and need no thread meanwhile.

    Args:
        slots: the number of requests that can have a slot at a time.
        length: the number of requests that can wait.
        patience: the seconds that a request waits.
    """

    def __init__(self, slots: int, length: int = _QUEUE_LENGTH, patience: float = _PATIENCE) -> None:
        self._free = anyio.Semaphore(slots)
        self._length, self._patience = length, patience

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot.

        Raises:
            HTTPException: the queue is full, or no slot became free in time (503, with Retry-After).
        """
        if self._free.statistics().tasks_waiting >= self._length:
            raise _busy()
        try:
            with anyio.fail_after(self._patience):
                await self._free.acquire()
        except TimeoutError:
            raise _busy() from None
        try:
            yield
        finally:
            self._free.release()


def _busy() -> HTTPException:
    what = "the server has too many radiographs to read at the moment; try again in a few seconds."
    return HTTPException(503, what, {"Retry-After": str(_RETRY_AFTER)})


# As many as are segmented at a time; `setup/serve.py` sets the default, one for each core.
_queue = DecodingQueue(max(1, settings.MONAI_LABEL_INFER_CONCURRENCY))


async def decoding_slot() -> AsyncIterator[None]:
    """Hold a slot of the server's queue while a route runs; see `IN_DECODING_QUEUE`."""
    async with _queue.slot():
        yield


# With the scope "function", the slot is free again before the answer is sent, however slowly the client reads it.
IN_DECODING_QUEUE = Depends(decoding_slot, scope="function")
