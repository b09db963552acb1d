# SPDX-License-Identifier: Apache-2.0
"""The server: MONAI Label's own parts behind our routes, and none of those that the app has no use for.

Left out are those that read files by their path (wsi), fetch from other servers (proxy), overwrite weights in place
(model), unpack archives (session), or write the list of studies from other processes (batch, scoring).
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse
from monailabel.app import lifespan
from monailabel.config import settings
from monailabel.endpoints import activelearning, info, logs, model, train
from monailabel.endpoints import datastore as their_datastore
from monailabel.endpoints import login as their_login
from monailabel.endpoints.user.auth import get_current_user
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)

from lungseg.utils.errors import LungsegError
from lungseg.workflows.label.server.auth import current_user
from lungseg.workflows.label.server.routes import annotation, datastore, infer, login, tasks, versions
from lungseg.workflows.label.server.same_origin import OwnPagesAlone
from lungseg.workflows.label.server.uploads import LimitUploads

app = FastAPI(title="lungseg", lifespan=lifespan)
app.add_middleware(LimitUploads)
app.add_middleware(OwnPagesAlone)
model.router.routes[:] = [route for route in model.router.routes if route.methods == {"GET"}]
# The first that matches answers, so ours come before theirs.
for ours in (infer, datastore, tasks, versions, annotation):
    app.include_router(ours.router)
for theirs in (info, model, train, activelearning, their_datastore, logs):
    app.include_router(theirs.router)
if settings.MONAI_LABEL_AUTH_ENABLE:
    for ask in (login, their_login):
        app.include_router(ask.router)
    app.dependency_overrides[get_current_user] = current_user
app.mount("/lungseg/page", annotation.files())


@app.get("/", include_in_schema=False)
def front_door() -> RedirectResponse:
    """Lead to the annotation page."""
    return RedirectResponse("/lungseg/")


@app.exception_handler(LungsegError)
def refuse(request: Request, error: LungsegError) -> JSONResponse:
    """Say what is wrong with a request."""
    return JSONResponse({"detail": str(error)}, status_code=400)


@app.exception_handler(MONAILabelException)
def check_not_foreign(request: Request, error: MONAILabelException) -> JSONResponse:
    """Say what is wrong with a request to one of MONAI Label's own parts."""
    status = 400 if error.error in (MONAILabelError.INVALID_INPUT, MONAILabelError.APP_INIT_ERROR) else 500
    return JSONResponse({"detail": error.msg}, status_code=status)


@app.exception_handler(ImageNotFoundException)
@app.exception_handler(LabelNotFoundException)
def not_found(request: Request, error: Exception) -> JSONResponse:
    """Say that there is no such study or label."""
    return JSONResponse({"detail": "there is no such study or label."}, status_code=404)
