# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-untyped-decorators=False
"""Save labels and add radiographs by MONAI Label's calls; every file is checked first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Form, HTTPException, UploadFile

from lungseg.io import read_radiograph
from lungseg.io.formats import split_ending
from lungseg.workflows.label.server.decoding import IN_DECODING_QUEUE
from lungseg.workflows.label.server.dependencies import AsAnnotator, known_study, parameters, plain_name, the_app
from lungseg.workflows.label.server.uploads import saved_upload

router = APIRouter(tags=["Datastore"])
_LABEL_PARAMETERS = ("label_info", "client_id")
_IMAGE_PARAMETERS = ("client_id", "patient_id")


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
