# SPDX-License-Identifier: Apache-2.0
"""Checks that all routes share: the user's role, the study, names and parameters of a request."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, HTTPException
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from lungseg.model.paths import BUNDLE_NAME
from lungseg.workflows.label.app import LungsApp
from lungseg.workflows.label.store.stored_values import read_object

# Users with a role; without authentication, everybody has all roles.
AsUser = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))]
AsAnnotator = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))]
AsAdmin = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))]
# Names of files in one folder: no separators, no leading dot.
_NAME = re.compile(r"[^\W_][\w .()+@=-]*")
# In bytes; file systems allow 255, with an ending.
_LONGEST_NAME = 200


def allow(user: User, role: str) -> None:
    """Answer 403 to a user without a role, if authentication is on."""
    if settings.MONAI_LABEL_AUTH_ENABLE and role not in user.roles:
        raise HTTPException(403, f"this needs the role {role}; ask the administrator of the realm for it.")


def the_app() -> LungsApp:
    """Return the app that the server runs."""
    app: LungsApp = app_instance()
    return app


def known_model(model: str) -> str:
    """Return the model's name, or answer 404."""
    if model != BUNDLE_NAME:
        raise HTTPException(404, f"there is no model {model!r}; use {BUNDLE_NAME}.")
    return model


def known_study(image: str) -> Path:
    """Return the file of a study, or answer 404."""
    file: Path | None = the_app().datastore().file_of(image)
    if file is None:
        raise HTTPException(404, f"there is no study {image!r}; GET /lungseg/studies lists them.")
    return file


def plain_name(name: str, what: str) -> str:
    """Return a name that a file can have, or answer 400."""
    if not _NAME.fullmatch(name) or name.endswith((".", " ")):
        raise HTTPException(400, f"{name!r} is not a valid {what}; use letters, digits, blanks and . _ - ( ).")
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise HTTPException(400, f"{name!r} is too long for a {what}; use at most {_LONGEST_NAME} bytes.")
    return name


def parameters(text: str | None, known: Collection[str]) -> dict[str, Any]:
    """Return the known keys of the JSON object in a form's `params`, or answer 400."""
    return {key: value for key, value in read_object(text, "params").items() if key in known}
