# SPDX-License-Identifier: Apache-2.0
"""Who asks: the user that a token of the Keycloak realm names."""

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
    """Return the token's user, or answer 401, or 503 where the realm cannot be asked for its key.

    MONAI Label's own function names no algorithm, for which PyJWT refuses every token. Keycloak signs with RS256.
    """
    try:
        key = get_public_key(settings.MONAI_LABEL_AUTH_REALM_URI)
        payload = jwt.decode(token, key, algorithms=["RS256"], options={"verify_aud": False})
    except requests.RequestException:
        raise unreachable() from None
    except jwt.InvalidTokenError:
        raise HTTPException(401, "the token is not valid, or no longer; sign in.", _TO_SIGN_IN) from None
    roles = reduce(lambda part, name: (part or {}).get(name), settings.MONAI_LABEL_AUTH_TOKEN_ROLES.split("#"), payload)
    return User(
        username=payload.get(settings.MONAI_LABEL_AUTH_TOKEN_USERNAME),
        email=payload.get(settings.MONAI_LABEL_AUTH_TOKEN_EMAIL),
        name=payload.get(settings.MONAI_LABEL_AUTH_TOKEN_NAME),
        roles=roles or [],
    )


def refused() -> HTTPException:
    """Return the answer to a wrong user or password."""
    return HTTPException(401, "the user or the password is wrong; try again.", _TO_SIGN_IN)


def unreachable() -> HTTPException:
    """Return the answer while the realm does not."""
    realm = settings.MONAI_LABEL_AUTH_REALM_URI
    return HTTPException(503, f"the realm {realm} does not answer; look at MONAI_LABEL_AUTH_REALM_URI.")
