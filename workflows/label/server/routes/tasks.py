# SPDX-License-Identifier: Apache-2.0
"""Training and choosing the next study, as MONAI Label defines it, with every parameter looked at.

Its own routes start a process for models that are not there, and put folders that a request names on that process's
search path.
"""

from __future__ import annotations

import sys
import threading

from fastapi import APIRouter, HTTPException
from monailabel.endpoints.activelearning import sample
from monailabel.endpoints.train import run_model
from monailabel.utils.async_tasks.utils import tasks

from lungseg.workflows.label.server.dependencies import AsAdmin, AsUser, known_model, the_app
from lungseg.workflows.label.tasks.train import DEFAULTS

router = APIRouter()
_starting = threading.Lock()
# Of these nothing at all makes no training.
_POSITIVE = ("epochs", "patience", "learning_rate")


def training_runs() -> bool:
    """Say whether a training runs, or is about to."""
    return any(task["status"] in ("SUBMITTED", "RUNNING") for task in tasks("train"))


@router.post("/train/{model}", tags=["Train"])
def train(
    user: AsAdmin,
    model: str,
    params: dict | None = None,
    enqueue: bool = False,
) -> dict:
    """Start a training; `GET /train/` tells how far it is."""
    known_model(model)
    given = {key: value for key, value in (params or {}).items() if key in DEFAULTS}
    for key, value in given.items():
        kinds = (float, int) if isinstance(DEFAULTS[key], float) else (type(DEFAULTS[key]),)
        # What is no number (NaN) or without an end is not in between, either.
        possible = type(value) in kinds and 0 <= value <= sys.float_info.max
        if not possible or (value == 0 and key in _POSITIVE):
            raise HTTPException(400, f"{key} cannot be {value!r}; give a value such as {DEFAULTS[key]!r}.")
    with _starting:
        # MONAI Label notices a training once its process runs, and would take a second one until then.
        if not enqueue and training_runs():
            raise HTTPException(429, "a training runs already; wait for it, or stop it with DELETE /train/.")
        return run_model(model, given, enqueue=enqueue)


@router.post("/train/", tags=["Train"], include_in_schema=False)
def train_all(user: AsAdmin) -> dict:
    """Start a training of the one model."""
    model = next(iter(the_app().info()["trainers"]))
    return {model: {"result": run_model(model, {}, enqueue=True), "detail": None}}


@router.post("/activelearning/{strategy}", tags=["ActiveLearning"])
def next_study(user: AsUser, strategy: str, params: dict | None = None) -> dict:
    """Choose the next study to annotate; empty when all have a label."""
    known = the_app().info()["strategies"]
    if strategy not in known:
        raise HTTPException(404, f"there is no strategy {strategy!r}; there are {', '.join(known)}.")
    client = {key: str(value) for key, value in (params or {}).items() if key == "client_id"}
    return sample(strategy, client, user.username)
