# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-untyped-decorators=False
"""`POST /infer/{model}`, MONAI Label's call.

MONAI Label's own route computes on the event loop, which blocks other requests, and accepts the path of any file.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Form, HTTPException, UploadFile
from fastapi.background import BackgroundTasks
from monailabel.config import settings
from monailabel.endpoints.infer import ResultType, send_response

from lungseg.workflows.label.server.decoding import IN_DECODING_QUEUE
from lungseg.workflows.label.server.dependencies import (
    AsUser,
    allow,
    known_model,
    known_study,
    parameters,
    plain_name,
    the_app,
)
from lungseg.workflows.label.server.uploads import saved_upload

router = APIRouter(tags=["Infer"])
_PARAMETERS = ("result_extension", "heart", "save_label", "label_tag")


@router.post("/infer/{model}", dependencies=[IN_DECODING_QUEUE])
def infer(
    user: AsUser,
    background_tasks: BackgroundTasks,
    model: str,
    image: str = "",
    session_id: str = "",
    params: str = Form("{}"),
    file: UploadFile | None = None,
    label: UploadFile | None = None,
    output: ResultType | None = None,
) -> Any:
    """Segment a study, or an uploaded file; saving the result as a label needs the role of an annotator."""
    known_model(model)
    if session_id:
        raise HTTPException(400, "sessions are not supported; name a study, or upload a file.")
    if output == ResultType.dicom_seg:
        raise HTTPException(
            400, "dicom_seg is not supported here; ask for image or json, or use lungseg predict --save dicom-seg."
        )
    request = {"model": model, **parameters(params, _PARAMETERS)}
    for name in ("result_extension", "label_tag"):
        if not isinstance(request.get(name) or "", str):
            raise HTTPException(400, f"{name} is not a text; send one, or leave {name} out.")
    if request.get("heart") and request.get("save_label"):
        raise HTTPException(400, "a saved label has lungs only; leave out heart, or save_label.")
    app = the_app()
    if file is not None:
        with saved_upload(file) as path:
            result = app.infer(request | {"image": str(path), "save_label": False})
    elif image:
        known_study(image)
        if request.get("save_label"):
            allow(user, settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR)
        result = app.infer(request | {"image": image, "label_tag": plain_name(_tag(request), "tag")})
    else:
        raise HTTPException(400, "the request has neither a study nor a file; add ?image=, or upload a file.")
    return send_response(app.datastore(), result, output, background_tasks)


def _tag(request: dict[str, Any]) -> str:
    return request.get("label_tag") or "original"
