# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-untyped-decorators=False
"""Sign in by MONAI Label's calls, with an answer to a wrong password."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.security import OAuth2PasswordRequestForm
from monailabel.endpoints.user.auth import Token, User

from lungseg.workflows.label.server.auth import ask_realm, current_user, realm, wrong_password
from lungseg.workflows.label.server.realm import RealmError

router = APIRouter(prefix="/auth", tags=["Auth"])


@router.get("/")
def enabled() -> dict[str, bool]:
    """Return that this server asks for a token."""
    return {"enabled": True}


@router.post("/token")
async def sign_in(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Token:
    """Get a token from the realm."""
    token: Token = await ask_realm(partial(_token, form.username, form.password))
    return token


@router.get("/token/valid")
def signed_in(user: Annotated[User, Depends(current_user)]) -> dict[str, Any]:
    """Return the user of the token."""
    claims: dict[str, Any] = user.model_dump()
    return claims


def _token(username: str, password: str) -> Token:
    status, content = realm.sign_in(username, password)
    if status in (400, 401):
        raise wrong_password()
    try:
        return Token(access_token=content["access_token"], token_type=content["token_type"])
    except (KeyError, ValueError):
        raise RealmError(f"its answer to a password has the status {status} and no token") from None
