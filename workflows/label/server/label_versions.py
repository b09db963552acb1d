# SPDX-License-Identifier: Apache-2.0
"""The version of a label in HTTP (RFC 9110): answers name it as ETag, and saving asks for it by If-Match."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header
from fastapi.responses import JSONResponse
from monailabel.config import settings

from lungseg.workflows.label.store.saved_labels import LabelChangedError, MayReplace


def etag(version: str) -> dict[str, str]:
    """Return the header that names a label's version."""
    return {"ETag": f'"{version}"'}


def _condition(
    if_match: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> MayReplace:
    """Return which version a request may replace.

    `If-Match` lists versions, `If-None-Match: *` stands for no label. Without either, as in MONAI Label, any label is
    replaced.
    """

    def may_replace(version: str | None) -> bool:
        if if_match is not None and not _lists(if_match, version):
            return False
        return if_none_match is None or not _lists(if_none_match, version)

    return may_replace


Condition = Annotated[MayReplace, Depends(_condition)]


def _lists(header: str, version: str | None) -> bool:
    """Return whether a header's list names a version, or is `*` and there is one."""
    return version is not None and (
        header.strip() == "*" or f'"{version}"' in [one.strip() for one in header.split(",")]
    )


def label_changed(error: LabelChangedError) -> JSONResponse:
    """Answer 412 with who saved the label that is there now, and when; null if unknown or if it was deleted."""
    saved = error.saved
    content = {
        "detail": str(error),
        "code": error.code,
        # Without authentication, every user is the same one.
        "user": saved.user if saved and settings.MONAI_LABEL_AUTH_ENABLE else None,
        "time": saved.time.isoformat() if saved else None,
    }
    return JSONResponse(content, status_code=412, headers=etag(saved.version) if saved else None)
