# SPDX-License-Identifier: Apache-2.0
"""Signing in, as MONAI Label defines it; it answers a wrong password with an error of the server."""

from __future__ import annotations

import asyncio
from typing import Annotated

import requests
from fastapi import APIRouter, Depends
from fastapi.security import OAuth2PasswordRequestForm
from monailabel.endpoints.login import access_token
from monailabel.endpoints.user.auth import Token

from lungseg.workflows.label.server.auth import refused, unreachable

router = APIRouter()


@router.post("/auth/token", tags=["Auth"])
def sign_in(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Token:
    """Ask the realm for a token."""
    try:
        return asyncio.run(access_token(form))  # in this thread, for it waits for the realm
    except requests.HTTPError as error:
        raise (refused() if error.response.status_code in (400, 401) else unreachable()) from None
    except requests.RequestException:
        raise unreachable() from None
