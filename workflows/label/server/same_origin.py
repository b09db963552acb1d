# SPDX-License-Identifier: Apache-2.0
"""Pages of other servers, open in an annotator's browser, must not reach this one."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lungseg.workflows.label.store.addresses import LOOPBACK

# Set by `serve.py`: where the server listens.
LISTENS_AT = "LUNGSEG_LABEL_LISTENS_AT"
# Set by the user: the host that browsers ask, with its port where it is not the usual one, if a proxy stands before
# the server and hands the name on.
PUBLIC_HOST = "LUNGSEG_LABEL_PUBLIC_HOST"


class OwnPagesAlone:
    """ASGI middleware that answers 403 to a browser that asks for another server's page.

    Browsers state the page's origin where a request can change something. A page whose server's name leads to this
    machine all of a sudden states its own name, which a server that only this machine can reach does not have; the one
    other name that it can have is its proxy's.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.local = os.environ.get(LISTENS_AT) in LOOPBACK
        self.public = os.environ.get(PUBLIC_HOST, "").lower() or None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_foreign(Headers(scope=scope)):
            what = "this request comes from the page of another server; open the server's own page."
            await JSONResponse({"detail": what}, status_code=403)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _is_foreign(self, headers: Headers) -> bool:
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if self.local and host != self.public and urlsplit(f"//{host}").hostname not in LOOPBACK:
            return True
        return origin is not None and urlsplit(origin).netloc != host
