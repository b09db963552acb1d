# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-untyped-decorators=False
"""The web server: MONAI Label's routes, preceded by our own.

Not included are MONAI Label's routes that read files by their path (wsi), fetch from other servers (proxy), overwrite
weights in place (model), unpack archives (session), or write the list of studies from other processes (batch, scoring).
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
from lungseg.workflows.label.server.same_origin import SameOriginOnly
from lungseg.workflows.label.server.uploads import LimitUploads

app = FastAPI(title="lungseg", lifespan=lifespan)
app.add_middleware(LimitUploads)
app.add_middleware(SameOriginOnly)
model.router.routes[:] = [route for route in model.router.routes if route.methods == {"GET"}]
# The first route that matches answers, so ours come before MONAI Label's.
for ours in (infer, datastore, tasks, versions, annotation):
    app.include_router(ours.router)
for theirs in (info, model, train, activelearning, their_datastore, logs):
    app.include_router(theirs.router)
if settings.MONAI_LABEL_AUTH_ENABLE:
    for ask in (login, their_login):
        app.include_router(ask.router)
    app.dependency_overrides[get_current_user] = current_user
app.mount("/lungseg/page", annotation.page_files())


@app.get("/", include_in_schema=False)
def root() -> RedirectResponse:
    """Redirect to the annotation page."""
    return RedirectResponse("/lungseg/")


@app.exception_handler(LungsegError)
def lungseg_error(request: Request, error: LungsegError) -> JSONResponse:
    """Answer 400 with the error's sentence and code."""
    return JSONResponse({"detail": str(error), "code": error.code}, status_code=400)


@app.exception_handler(MONAILabelException)
def monailabel_error(request: Request, error: MONAILabelException) -> JSONResponse:
    """Answer 400 or 500 with the message of one of MONAI Label's own parts."""
    status = 400 if error.error in (MONAILabelError.INVALID_INPUT, MONAILabelError.APP_INIT_ERROR) else 500
    return JSONResponse({"detail": error.msg}, status_code=status)


@app.exception_handler(ImageNotFoundException)
@app.exception_handler(LabelNotFoundException)
def not_found(request: Request, error: Exception) -> JSONResponse:
    """Answer 404."""
    return JSONResponse({"detail": "there is no such study or label."}, status_code=404)
