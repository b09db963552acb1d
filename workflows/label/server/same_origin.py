# SPDX-License-Identifier: Apache-2.0
"""Refuse requests from other servers' pages that are open in an annotator's browser."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lungseg.workflows.label.store.addresses import LOOPBACK

# Set by `setup/serve.py`: the address that the server listens at.
LISTENS_AT = "LUNGSEG_LABEL_LISTENS_AT"
# Set by the user of a proxy: the host by which browsers call it, with the port unless it is the default.
PUBLIC_HOST = "LUNGSEG_LABEL_PUBLIC_HOST"
# Set by the user: further names of the server, separated by commas; * allows every name.
ALLOWED_HOSTS = "LUNGSEG_LABEL_ALLOWED_HOSTS"
_EVERYWHERE = ("0.0.0.0", "::", "")


class AllowedHosts:
    """The names by which browsers may call the server.

    DNS rebinding, by which another server's name leads to this machine, is recognised by the `Host` header. A server
    that only this machine can reach has the loopback addresses; any other one also has the machine's name, the address
    that it listens at, and the address at which the request arrived. The user adds the names that only he knows.

    Args:
        settings: the environment variables.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        listens = settings.get(LISTENS_AT, LOOPBACK[0]).lower()
        self._is_local = listens in LOOPBACK
        self._names = set(LOOPBACK)
        if not self._is_local:
            self._names |= {socket.gethostname().lower(), listens}
        self._names -= set(_EVERYWHERE)
        further = {name.strip().lower() for name in settings.get(ALLOWED_HOSTS, "").split(",")} - {""}
        self._any = "*" in further
        self._names |= further
        # With its port.
        self._public = settings.get(PUBLIC_HOST, "").lower()

    def __contains__(self, call: tuple[str, str]) -> bool:
        """Return whether a request is allowed: its `Host` header, and the address at which it arrived."""
        host, arrived_at = call
        if self._any or (host and host == self._public):
            return True
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name is not None and (name in self._names or host in self._names or self._is_own(name, arrived_at))

    def _is_own(self, name: str, arrived_at: str) -> bool:
        return not self._is_local and name == arrived_at.lower()


class SameOriginOnly:
    """ASGI middleware that answers 403 to requests under a foreign name, and from other servers' pages.

    Browsers send the page's origin with every request that can change something; it must be the request's own host.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.hosts = AllowedHosts(os.environ)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        what = self._fault(scope) if scope["type"] == "http" else None
        if what:
            await JSONResponse({"detail": what}, status_code=403)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _fault(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if (host, (scope.get("server") or ("",))[0]) not in self.hosts:
            return f"{host[:100]!r} is not a name of this server; add it to {ALLOWED_HOSTS} (docs/label.md)."
        if origin is not None and _host_of(origin) != host:
            return "this request comes from another server's page; open this server's own page."
        return None


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin.lower()).netloc
    except ValueError:
        return None
