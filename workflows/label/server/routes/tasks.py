# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-untyped-decorators=False
"""Start a training and choose the next study by MONAI Label's calls; every parameter is checked first.

MONAI Label's own routes start a process for unknown models, and let a request extend that process's search path.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from fastapi import APIRouter, HTTPException
from monailabel.endpoints.activelearning import sample
from monailabel.endpoints.train import run_model
from monailabel.utils.async_tasks.utils import tasks

from lungseg.workflows.label.server.dependencies import AsAdmin, AsUser, known_model, the_app
from lungseg.workflows.label.store.stored_values import check_storable
from lungseg.workflows.label.tasks.train import DEFAULTS

router = APIRouter()
_starting = threading.Lock()
# These settings cannot be 0.
_POSITIVE = ("epochs", "patience", "learning_rate")


def training_runs() -> bool:
    """Return whether a training is running or about to start."""
    return any(task["status"] in ("SUBMITTED", "RUNNING") for task in tasks("train"))


@router.post("/train/{model}", tags=["Train"])
def train(
    user: AsAdmin,
    model: str,
    params: dict[str, Any] | None = None,
    enqueue: bool = False,
) -> dict[str, Any]:
    """Start a training; `GET /train/` returns its state."""
    known_model(model)
    given = {key: value for key, value in (params or {}).items() if key in DEFAULTS}
    for key, value in given.items():
        kinds = (float, int) if isinstance(DEFAULTS[key], float) else (type(DEFAULTS[key]),)
        # Neither NaN nor infinity lies in between.
        possible = type(value) in kinds and 0 <= value <= sys.float_info.max
        if not possible or (value == 0 and key in _POSITIVE):
            raise HTTPException(400, f"{key} cannot be {value!r}; give a value such as {DEFAULTS[key]!r}.")
    with _starting:
        # MONAI Label notices a training only once its process runs, and would accept a second one until then.
        if not enqueue and training_runs():
            raise HTTPException(429, "a training is already running; wait for it, or stop it with DELETE /train/.")
        task: dict[str, Any] = run_model(model, given, enqueue=enqueue)
    return task


@router.post("/train/", tags=["Train"], include_in_schema=False)
def train_all(user: AsAdmin) -> dict[str, Any]:
    """Start a training of the only model."""
    model = next(iter(the_app().info()["trainers"]))
    return {model: {"result": run_model(model, {}, enqueue=True), "detail": None}}


@router.post("/activelearning/{strategy}", tags=["ActiveLearning"])
def next_study(user: AsUser, strategy: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """Choose the next study to annotate; empty if all studies have a label."""
    known = the_app().info()["strategies"]
    if strategy not in known:
        raise HTTPException(404, f"there is no strategy {strategy!r}; use one of {', '.join(known)}.")
    check_storable(params or {}, "params")
    client = {key: str(value) for key, value in (params or {}).items() if key == "client_id"}
    chosen: dict[str, Any] = sample(strategy, client, user.username)
    return chosen
