# SPDX-License-Identifier: Apache-2.0
"""Limit the size of uploads, and keep them in temporary files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fastapi import UploadFile
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lungseg.io.formats import split_ending
from lungseg.io.limits import MAX_PIXELS

# The largest radiograph with 16 bits per pixel, and the other parts of a form.
MAX_UPLOAD = 2 * MAX_PIXELS + 2**20


class LimitUploads:
    """ASGI middleware that answers 413 as soon as a request's body is known to be too large."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > MAX_UPLOAD:
            await self._refuse(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_UPLOAD:
                raise _TooLargeError
            return message

        async def watched(message: Message) -> None:
            # The app answers the error itself; that answer is dropped.
            if taken <= MAX_UPLOAD:
                await send(message)

        with suppress(_TooLargeError):
            await self.app(scope, counted, watched)
        if taken > MAX_UPLOAD:
            await self._refuse(scope, receive, send)

    @staticmethod
    async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
        what = f"the upload has more than {MAX_UPLOAD} bytes, the size of the largest radiograph; send a smaller file."
        await JSONResponse({"detail": what}, status_code=413)(scope, receive, send)


class _TooLargeError(Exception):
    """Ends the reading of a body without a stated length."""


@contextmanager
def saved_upload(upload: UploadFile) -> Iterator[Path]:
    """Yield a temporary file with an upload's content, and only the known ending of its name."""
    parts = split_ending(Path(upload.filename or "").name)
    with tempfile.TemporaryDirectory(prefix="lungseg-") as folder:
        file = Path(folder, f"upload{parts[1].lower() if parts else ''}")
        with open(file, "wb") as opened:
            shutil.copyfileobj(upload.file, opened)
        yield file
