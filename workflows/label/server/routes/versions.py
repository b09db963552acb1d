# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-untyped-decorators=False
"""List the versions of the weights, and activate one."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter

from lungseg.workflows.label.server.dependencies import AsAdmin, AsUser, the_app
from lungseg.workflows.label.server.routes.tasks import training_runs
from lungseg.workflows.label.store.model_versions import Version

router = APIRouter(tags=["Versions"])


@router.get("/lungseg/versions")
def versions(user: AsUser) -> dict[str, Any]:
    """Return the versions, the active one, and the state of a training that is running or was stopped."""
    held = the_app().versions
    run = held.unfinished()
    training = None
    if run is not None:
        history = run / "history.json"
        epochs = json.loads(history.read_text()) if history.is_file() else []
        training = {"version": int(run.name), "epochs": epochs, "running": training_runs()}
    return {"active": held.active().number, "versions": [_as_json(one) for one in held.all()], "training": training}


@router.post("/lungseg/versions/{number}/activate")
def activate(user: AsAdmin, number: int) -> dict[str, int]:
    """Activate a version: images are segmented with it from now on."""
    return {"active": the_app().versions.activate(number).number}


def _as_json(version: Version) -> dict[str, Any]:
    return {"version": version.number, **version.record}
