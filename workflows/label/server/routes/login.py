# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-untyped-decorators=False
"""Sign in by MONAI Label's call, with an answer to a wrong password."""

from __future__ import annotations

import asyncio
from typing import Annotated

import requests
from fastapi import APIRouter, Depends
from fastapi.security import OAuth2PasswordRequestForm
from monailabel.endpoints.login import access_token
from monailabel.endpoints.user.auth import Token

from lungseg.workflows.label.server.auth import realm_unreachable, wrong_password

router = APIRouter()


@router.post("/auth/token", tags=["Auth"])
def sign_in(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Token:
    """Get a token from the realm."""
    try:
        return asyncio.run(access_token(form))  # in this thread, because it waits for the realm
    except requests.HTTPError as error:
        raise (wrong_password() if error.response.status_code in (400, 401) else realm_unreachable()) from None
    except requests.RequestException:
        raise realm_unreachable() from None
