# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-untyped-decorators=False
"""Send, save and remove studies and labels by MONAI Label's calls; every file is checked first.

MONAI Label's own routes wait for files and services on the event loop, which blocks other requests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Form, HTTPException, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse

from lungseg.io import read_radiograph
from lungseg.io.formats import split_ending
from lungseg.workflows.label.server.decoding import IN_DECODING_QUEUE
from lungseg.workflows.label.server.dependencies import (
    AsAdmin,
    AsAnnotator,
    AsUser,
    known_study,
    parameters,
    plain_name,
    the_app,
)
from lungseg.workflows.label.server.label_versions import Condition, etag, label_changed
from lungseg.workflows.label.server.uploads import saved_upload
from lungseg.workflows.label.store.saved_labels import LabelChangedError

router = APIRouter(tags=["Datastore"])
_LABEL_PARAMETERS = ("label_info", "client_id")
_IMAGE_PARAMETERS = ("client_id", "patient_id")


@router.get("/datastore/")
def content(user: AsUser, output: Literal["stats", "train", "all"] = "stats") -> Any:
    """Return numbers of studies and labels; with `train` the pairs of files, with `all` the list of everything."""
    store = the_app().datastore()
    return {"stats": store.status, "train": store.datalist, "all": store.json}[output]()


@router.get("/datastore/image")
def image_file(user: AsUser, image: str) -> FileResponse:
    """Return the file of a study as it is."""
    file = known_study(image)
    return FileResponse(file, filename=file.name)


@router.put("/datastore/image", dependencies=[IN_DECODING_QUEUE])
@router.put("/datastore/", include_in_schema=False, dependencies=[IN_DECODING_QUEUE])
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


@router.delete("/datastore/image")
def remove_image(user: AsAdmin, id: str) -> dict[str, Any]:
    """Remove a study and its labels."""
    the_app().datastore().remove_image(id)
    return {}


@router.get("/datastore/label")
def download_label(user: AsUser, label: str, tag: str) -> FileResponse:
    """Return the file of a study's label as it is; the ETag is its version."""
    saved = the_app().datastore().saved_label(label, plain_name(tag, "tag"))
    if saved is None:
        raise HTTPException(404, f"the study {label!r} has no label {tag!r}; GET /datastore/?output=all lists them.")
    return FileResponse(saved.file, filename=saved.file.name, headers=etag(saved.version))


@router.put("/datastore/label", dependencies=[IN_DECODING_QUEUE])
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


@router.delete("/datastore/label")
def remove_label(user: AsAdmin, id: str, tag: str) -> dict[str, Any]:
    """Remove a study's label; it is kept among the replaced ones."""
    the_app().datastore().remove_label(id, tag)
    return {}
