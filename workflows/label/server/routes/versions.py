# SPDX-License-Identifier: Apache-2.0
"""The versions of the weights: what they are, and making an earlier one active again."""

from __future__ import annotations

import json

from fastapi import APIRouter

from lungseg.workflows.label.server.dependencies import AsAdmin, AsUser, the_app
from lungseg.workflows.label.server.routes.tasks import training_runs
from lungseg.workflows.label.store.model_versions import Version

router = APIRouter(tags=["Versions"])


@router.get("/lungseg/versions")
def versions(user: AsUser) -> dict:
    """List the versions, the active one, and how far a training is that runs or was stopped."""
    held = the_app().versions
    run = held.unfinished()
    training = None
    if run is not None:
        history = run / "history.json"
        epochs = json.loads(history.read_text()) if history.is_file() else []
        training = {"version": int(run.name), "epochs": epochs, "running": training_runs()}
    return {"active": held.active().number, "versions": [_told(one) for one in held.all()], "training": training}


@router.post("/lungseg/versions/{number}/activate")
def activate(user: AsAdmin, number: int) -> dict:
    """Segment with a version from now on."""
    return {"active": the_app().versions.activate(number).number}


def _told(version: Version) -> dict:
    return {"version": version.number, **version.record}
