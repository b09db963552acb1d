# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-untyped-decorators=False
"""Send, save and remove studies and labels by MONAI Label's calls; every file is checked first.

MONAI Label's own routes wait for files and services on the event loop, which blocks other requests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Form, HTTPException, UploadFile
from fastapi.responses import FileResponse

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
from lungseg.workflows.label.server.uploads import saved_upload

router = APIRouter(tags=["Datastore"])
_LABEL_PARAMETERS = ("label_info", "client_id")
_IMAGE_PARAMETERS = ("client_id", "patient_id")


@router.get("/datastore/")
def content(user: AsUser, output: Literal["stats", "all"] = "stats") -> dict[str, Any]:
    """Return numbers of studies and labels, or with `all` the list of both."""
    store = the_app().datastore()
    listed: dict[str, Any] = store.json() if output == "all" else store.status()
    return listed


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
    """Return the file of a study's label as it is."""
    file = the_app().datastore().label_file(label, plain_name(tag, "tag"))
    if file is None:
        raise HTTPException(404, f"the study {label!r} has no label {tag!r}; GET /datastore/?output=all lists them.")
    return FileResponse(file, filename=file.name)


@router.put("/datastore/label", dependencies=[IN_DECODING_QUEUE])
def save_label(
    user: AsAnnotator,
    image: str,
    label: UploadFile,
    params: str = Form("{}"),
    tag: str = "final",
) -> dict[str, Any]:
    """Save a label map of any known format as a PNG."""
    known_study(image)
    tag = plain_name(tag or "final", "tag")
    info = parameters(params, _LABEL_PARAMETERS) | {"user": user.username}
    with saved_upload(label) as sent:
        return {"image": image, "label": the_app().datastore().save_label_map(image, sent, tag, info)}


@router.delete("/datastore/label")
def remove_label(user: AsAdmin, id: str, tag: str) -> dict[str, Any]:
    """Remove a study's label; it is kept among the replaced ones."""
    the_app().datastore().remove_label(id, tag)
    return {}
