# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-untyped-decorators=False
"""Save labels and add radiographs by MONAI Label's calls; every file is checked first."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Form, HTTPException, Response, UploadFile
from fastapi.responses import JSONResponse
from monailabel.utils.others.generic import get_mime_type

from lungseg.io import read_radiograph
from lungseg.io.formats import split_ending
from lungseg.workflows.label.server.dependencies import (
    AsAnnotator,
    AsUser,
    known_study,
    parameters,
    plain_name,
    the_app,
)
from lungseg.workflows.label.server.label_versions import Condition, etag, label_changed
from lungseg.workflows.label.server.uploads import saved_upload
from lungseg.workflows.label.store.saved_labels import LabelChangedError, version_of

router = APIRouter(tags=["Datastore"])
_LABEL_PARAMETERS = ("label_info", "client_id")
_IMAGE_PARAMETERS = ("client_id", "patient_id")


@router.get("/datastore/label")
def download_label(user: AsUser, label: str, tag: str) -> Response:
    """Return a label's file; the ETag is its version."""
    file = the_app().datastore().label_file(label, plain_name(tag, "tag"))
    if file is None:
        raise HTTPException(404, f"the study {label!r} has no label {tag!r}; draw one.")
    content = file.read_bytes()
    shown = {"Cache-Control": "no-store", "Content-Disposition": f"attachment; filename*=utf-8''{quote(file.name)}"}
    return Response(content, media_type=get_mime_type(str(file)), headers=shown | etag(version_of(content)))


@router.put("/datastore/label")
def save_label(
    user: AsAnnotator,
    may_replace: Condition,
    image: str,
    label: UploadFile,
    params: str = Form("{}"),
    tag: str = "final",
) -> Response:
    """Save a label map of any known format as a PNG.

    With `If-Match: "version"` or `If-None-Match: *`, the answer is 412 if another label was saved since. The ETag of
    the answer is the new version.
    """
    known_study(image)
    tag = plain_name(tag or "final", "tag")
    info = parameters(params, _LABEL_PARAMETERS) | {"user": user.username}
    try:
        with saved_upload(label) as sent:
            version = the_app().datastore().save_label_map(image, sent, tag, info, may_replace)
    except LabelChangedError as error:
        return label_changed(error)
    return JSONResponse({"image": image, "label": image}, headers=etag(version))


@router.put("/datastore/image")
@router.put("/datastore/", include_in_schema=False)
def add_image(
    user: AsAnnotator,
    file: UploadFile,
    image: str | None = None,
    params: str = Form("{}"),
) -> dict[str, Any]:
    """Add a radiograph to the studies."""
    parts = split_ending(Path(file.filename or "").name)
    if parts is None:
        raise HTTPException(400, "the ending of the file's name is unknown; use .png, .jpg, .tif, .dcm or .nii.gz.")
    name = plain_name(image or parts[0], "name of a study")
    store = the_app().datastore()
    info = parameters(params, _IMAGE_PARAMETERS) | {"user": user.username}
    with saved_upload(file) as sent:
        read_radiograph(sent)
        if not store.add_new_image(name, sent, info):
            raise HTTPException(409, f"there is already a study {name!r}; choose another name.")
    return {"image": name}
