# SPDX-License-Identifier: Apache-2.0
"""Refuse requests from other servers' pages that are open in an annotator's browser."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lungseg.workflows.label.store.addresses import LOOPBACK

# Set by `setup/serve.py`: the address that the server listens at.
LISTENS_AT = "LUNGSEG_LABEL_LISTENS_AT"
# Set by the user of a proxy: the host by which browsers call it, with the port unless it is the default.
PUBLIC_HOST = "LUNGSEG_LABEL_PUBLIC_HOST"


class SameOriginOnly:
    """ASGI middleware that answers 403 to requests from other servers' pages.

    Browsers send the page's origin with every request that can change something. DNS rebinding, by which another
    server's name leads to this machine, is recognised by the `Host` header: a server that only this machine can reach
    has no other name than the loopback addresses and the name of its proxy.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.local = os.environ.get(LISTENS_AT) in LOOPBACK
        self.public = os.environ.get(PUBLIC_HOST, "").lower() or None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_foreign(Headers(scope=scope)):
            what = "this request comes from another server's page; open this server's own page."
            await JSONResponse({"detail": what}, status_code=403)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _is_foreign(self, headers: Headers) -> bool:
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if self.local and host != self.public and urlsplit(f"//{host}").hostname not in LOOPBACK:
            return True
        return origin is not None and urlsplit(origin).netloc != host
