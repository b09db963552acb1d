# SPDX-License-Identifier: Apache-2.0
"""Find the user of a request by the token of a Keycloak realm, before anything else of the request is read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import anyio
import jwt
from fastapi import HTTPException, Request
from fastapi.security.utils import get_authorization_scheme_param
from monailabel.config import settings
from monailabel.endpoints.user.auth import User
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lungseg.workflows.label.server.realm import Realm, RealmError
from lungseg.workflows.label.server.route_list import find_route

logger = logging.getLogger(__name__)
_TO_SIGN_IN = {"WWW-Authenticate": "Bearer"}
_Result = TypeVar("_Result")

realm = Realm(
    settings.MONAI_LABEL_AUTH_REALM_URI, settings.MONAI_LABEL_AUTH_CLIENT_ID, settings.MONAI_LABEL_AUTH_TIMEOUT
)
# Threads that wait for the realm; the threads of the routes stay free.
_waiting: list[anyio.CapacityLimiter] = []


class TokenRequired:
    """ASGI middleware that answers 401 to every request that needs a token and has none, without reading its body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not find_route(scope["method"], scope["path"]).public:
            scheme, token = get_authorization_scheme_param(Headers(scope=scope).get("authorization"))
            try:
                if scheme.lower() != "bearer":
                    raise _unknown()
                scope["user"] = await ask_realm(partial(user_of, token))
            except HTTPException as error:
                answer = JSONResponse({"detail": error.detail}, error.status_code, error.headers)
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)


def current_user(request: Request) -> User:
    """Return the user whom `TokenRequired` found; a dependency."""
    user: User = request.scope["user"]
    return user


async def ask_realm(question: Callable[[], _Result]) -> _Result:
    """Call a function that may wait for the realm, in one of a few threads; answer 503 if the realm does not answer."""
    if not _waiting:  # a limiter belongs to the running loop
        _waiting.append(anyio.CapacityLimiter(8))
    try:
        found: _Result = await anyio.to_thread.run_sync(question, limiter=_waiting[0])
        return found
    except RealmError as error:
        logger.warning("the realm %s does not answer: %s", settings.MONAI_LABEL_AUTH_REALM_URI, error)
        what = "the realm that signs users in does not answer; its address is MONAI_LABEL_AUTH_REALM_URI."
        raise HTTPException(503, what) from None


def user_of(token: str) -> User:
    """Return the user of a token, or answer 401.

    Raises:
        HTTPException: the token is not one of the realm for this server, or lacks a claim (401).
        RealmError: the realm does not answer.
    """
    try:
        claims = realm.claims(token)
        return User(
            username=claims.get(settings.MONAI_LABEL_AUTH_TOKEN_USERNAME),
            email=claims.get(settings.MONAI_LABEL_AUTH_TOKEN_EMAIL),
            name=claims.get(settings.MONAI_LABEL_AUTH_TOKEN_NAME),
            roles=_roles(claims),
        )
    # Besides PyJWT's own errors: claims of another kind, numbers that are infinite, JSON that is nested too deeply.
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise _unknown() from None


def wrong_password() -> HTTPException:
    """Return the error for a wrong user or password."""
    return HTTPException(401, "the user or the password is wrong; try again.", _TO_SIGN_IN)


def _unknown() -> HTTPException:
    return HTTPException(401, "the token is invalid or has expired; sign in.", _TO_SIGN_IN)


def _roles(claims: dict[str, Any]) -> Any:
    found: Any = claims
    for name in settings.MONAI_LABEL_AUTH_TOKEN_ROLES.split("#"):
        if not isinstance(found, dict):
            raise TypeError("the claim of the roles is not an object")
        found = found.get(name, {})
    return found or []
