# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-untyped-decorators=False
"""`GET /info/`, MONAI Label's call by which its clients begin."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from lungseg.workflows.label.server.dependencies import AsUser, the_app

router = APIRouter(tags=["App"])


@router.get("/info/")
def info(user: AsUser) -> dict[str, Any]:
    """Return the app's models, strategies and numbers."""
    state: dict[str, Any] = the_app().info()
    return state
