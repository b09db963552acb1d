# SPDX-License-Identifier: Apache-2.0
"""Distinguish the clients that annotate."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from monailabel.config import settings
from monailabel.endpoints.user.auth import User

from lungseg.workflows.label.server.dependencies import AsUser
from lungseg.workflows.label.store.reservations import Client


def client_of(user: User, request: Request, client_id: str) -> Client:
    """Return the client that sends a request.

    Without authentication, the machine's address stands for its user, because every 3D Slicer has the same client id
    until its user chooses another one.
    """
    if settings.MONAI_LABEL_AUTH_ENABLE:
        return Client(user.username, client_id)
    return Client(request.client.host if request.client else "", client_id)


def _page_client(user: AsUser, request: Request, client_id: Annotated[str, Query(max_length=64)] = "") -> Client:
    return client_of(user, request, client_id)


# The client of a call that names it in the query.
AsClient = Annotated[Client, Depends(_page_client)]


def shown_name(client: Client) -> str:
    """Return how other annotators see a client."""
    return client.user if settings.MONAI_LABEL_AUTH_ENABLE else "another annotator"
