# SPDX-License-Identifier: Apache-2.0
"""Limit the size of a request's body by its route, and the time that it takes."""

from __future__ import annotations

import time
from contextlib import suppress

import anyio
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lungseg.io.limits import MAX_PIXELS
from lungseg.workflows.label.server.route_list import find_route

# The settings of a training are the largest JSON.
MAX_SMALL = 2**16
# The largest radiograph with 16 bits per pixel, and the other parts of a form.
MAX_UPLOAD = 2 * MAX_PIXELS + 2**20
# Seconds until the first bytes, and bytes a second after that: the slowest line that can still be used.
_PATIENCE = 20.0
_RATE = 10_000


class OneLength:
    """ASGI middleware that answers 400 to a request that states its length in two ways.

    A proxy and the server could read different requests from it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            if "content-length" in headers and "transfer-encoding" in headers:
                what = "the request has both Content-Length and Transfer-Encoding; send one of them."
                await _refuse(400, what, scope, receive, send)
                return
        await self.app(scope, receive, send)


class LimitBodies:
    """ASGI middleware that answers 413 as soon as a body is known to be too large, and 408 if it comes too slowly.

    Args:
        app: the next application.
        patience: seconds until the first bytes.
        rate: bytes a second after that.
    """

    def __init__(self, app: ASGIApp, patience: float = _PATIENCE, rate: float = _RATE) -> None:
        self.app, self.patience, self.rate = app, patience, rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_form = headers.get("content-type", "").lower().startswith("multipart/form-data")
        files = is_form and find_route(scope["method"], scope["path"]).files
        body = _Body(receive, MAX_UPLOAD if files else MAX_SMALL, self.patience, self.rate)
        stated = headers.get("content-length", "0")
        if not stated.isdecimal() or int(stated) > body.limit:
            body.refusal = body.too_large()
        started = False

        async def watched(message: Message) -> None:
            # The app answers an error of its body itself; that answer is dropped.
            nonlocal started
            if body.refusal is None:
                started = True
                await send(message)

        if body.refusal is None:
            with suppress(_RefusedError):
                await self.app(scope, body.receive, watched)
        if body.refusal is not None and not started:
            await _refuse(*body.refusal, scope, receive, send)


class _RefusedError(Exception):
    """Ends the reading of a body."""


class _Body:
    """A body while it is received."""

    def __init__(self, receive: Receive, limit: int, patience: float, rate: float) -> None:
        self.limit = limit
        self.refusal: tuple[int, str] | None = None
        self._receive, self._rate = receive, rate
        self._end = time.monotonic() + patience
        self._taken, self._complete = 0, False

    def too_large(self) -> tuple[int, str]:
        if self.limit == MAX_UPLOAD:
            what = f"the upload has more than {self.limit} bytes, the size of the largest radiograph"
            return 413, f"{what}; send a smaller file."
        return 413, f"the request's body has more than {self.limit} bytes; send files as parts of a form."

    async def receive(self) -> Message:
        if self._complete:  # what follows is the end of the connection
            return await self._receive()
        try:
            with anyio.fail_after(max(0, self._end + self._taken / self._rate - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            self.refusal = 408, "the request's body comes too slowly; send it again."
            raise _RefusedError from None
        self._taken += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._taken > self.limit:
            self.refusal = self.too_large()
            raise _RefusedError
        return message


async def _refuse(status: int, what: str, scope: Scope, receive: Receive, send: Send) -> None:
    # 413 does not close: a client that still sends would not see the answer. `connections.py` ends the rest.
    headers = {} if status == 413 else {"Connection": "close"}
    await JSONResponse({"detail": what}, status, headers)(scope, receive, send)
