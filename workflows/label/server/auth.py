# SPDX-License-Identifier: Apache-2.0
"""Find the user of a request by the token of a Keycloak realm."""

from __future__ import annotations

from functools import reduce
from typing import Annotated

import jwt
import requests
from fastapi import Depends, HTTPException
from monailabel.config import settings
from monailabel.endpoints.user.auth import User, get_public_key, oauth2_scheme

_TO_SIGN_IN = {"WWW-Authenticate": "Bearer"}


def current_user(token: Annotated[str, Depends(oauth2_scheme)]) -> User:
    """Return the token's user; answer 401 for an invalid token, 503 if the realm does not answer.

    MONAI Label's own function does not name the algorithm, which PyJWT requires. Keycloak signs with RS256.
    """
    try:
        key = get_public_key(settings.MONAI_LABEL_AUTH_REALM_URI)
        payload = jwt.decode(token, key, algorithms=["RS256"], options={"verify_aud": False})
    except requests.RequestException:
        raise realm_unreachable() from None
    except jwt.InvalidTokenError:
        raise HTTPException(401, "the token is invalid or has expired; sign in.", _TO_SIGN_IN) from None
    roles = reduce(lambda part, name: (part or {}).get(name), settings.MONAI_LABEL_AUTH_TOKEN_ROLES.split("#"), payload)
    return User(
        username=payload.get(settings.MONAI_LABEL_AUTH_TOKEN_USERNAME),
        email=payload.get(settings.MONAI_LABEL_AUTH_TOKEN_EMAIL),
        name=payload.get(settings.MONAI_LABEL_AUTH_TOKEN_NAME),
        roles=roles or [],
    )


def wrong_password() -> HTTPException:
    """Return the error for a wrong user or password."""
    return HTTPException(401, "the user or the password is wrong; try again.", _TO_SIGN_IN)


def realm_unreachable() -> HTTPException:
    """Return the error for a realm that does not answer."""
    realm = settings.MONAI_LABEL_AUTH_REALM_URI
    return HTTPException(503, f"the realm {realm} does not answer; check MONAI_LABEL_AUTH_REALM_URI.")
