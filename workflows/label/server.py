# SPDX-License-Identifier: Apache-2.0
"""MONAI Label's server with our routes before its own, and without those that the app has no use for."""

from __future__ import annotations

from fastapi import Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from monailabel.app import app
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)

from lungseg.errors import LungsegError
from lungseg.workflows.label.routes import annotation, datastore, infer, tasks, versions
from lungseg.workflows.label.uploads import LimitUploads

# Left out: what reads files by their path (wsi), fetches from other servers (proxy), overwrites weights in place
# (model), and what is switched off in `serve.py`.
_LEFT_OUT = ("/infer/wsi", "/wsi", "/proxy", "/batch", "/scoring", "/session", "/reload", "/ohif")
_READ_ONLY = ("/model",)


def _is_kept(route) -> bool:
    path, methods = getattr(route, "path", ""), getattr(route, "methods", None) or set()
    return not path.startswith(_LEFT_OUT) and not (path.startswith(_READ_ONLY) and methods - {"GET", "HEAD"})


theirs = [route for route in app.router.routes if _is_kept(route)]
app.router.routes.clear()
for ours in (infer.router, datastore.router, tasks.router, versions.router, annotation.router):
    app.include_router(ours)
app.mount("/lungseg/page", annotation.files(), name="lungseg-page")
app.router.routes.extend(theirs)
# By default MONAI Label lets the pages of all other servers call this one from an annotator's browser; a list of those
# that may, which it has a setting for, stops it at the start.
app.user_middleware[:] = [one for one in app.user_middleware if one.cls is not CORSMiddleware]
app.add_middleware(LimitUploads)


@app.exception_handler(LungsegError)
def refuse(request: Request, error: LungsegError) -> JSONResponse:
    """Say what is wrong with a request."""
    return JSONResponse({"detail": str(error)}, status_code=400)


@app.exception_handler(MONAILabelException)
def refuse_theirs(request: Request, error: MONAILabelException) -> JSONResponse:
    """Say what is wrong with a request to one of MONAI Label's own parts."""
    status = 400 if error.error in (MONAILabelError.INVALID_INPUT, MONAILabelError.APP_INIT_ERROR) else 500
    return JSONResponse({"detail": error.msg}, status_code=status)


@app.exception_handler(ImageNotFoundException)
@app.exception_handler(LabelNotFoundException)
def not_found(request: Request, error: Exception) -> JSONResponse:
    """Say that there is no such study or label."""
    return JSONResponse({"detail": getattr(error, "msg", str(error))}, status_code=404)
