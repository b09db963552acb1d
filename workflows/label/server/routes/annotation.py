# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-untyped-decorators=False
"""The annotation page, and the calls that it makes besides MONAI Label's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from lungseg.io import encode_png, read_radiograph
from lungseg.workflows.label.server.decoding import IN_DECODING_QUEUE
from lungseg.workflows.label.server.dependencies import AsUser, known_study, plain_name, the_app
from lungseg.workflows.label.store.label_maps import decode, encode_picture

router = APIRouter(tags=["Annotation page"])
_PAGE = Path(__file__).resolve().parents[2] / "page"


def page_files() -> StaticFiles:
    """Return the app that serves the page's own files."""
    return StaticFiles(directory=_PAGE)


@router.get("/lungseg", include_in_schema=False)
def without_slash() -> RedirectResponse:
    """Redirect to the page."""
    return RedirectResponse("/lungseg/")


@router.get("/lungseg/", include_in_schema=False)
def page() -> FileResponse:
    """Return the page."""
    return FileResponse(_PAGE / "index.html")


@router.get("/lungseg/studies")
def studies(user: AsUser) -> list[dict[str, Any]]:
    """List the studies, the worst first: `id`, `labelled`, `error`, and the judgement; null while unknown."""
    app = the_app()
    labelled = set(app.datastore().get_labeled_images())
    findings, listed = app.scoring.findings(), []
    for name in app.datastore().list_images():
        finding = findings.get(name, {})
        known = {key: finding.get(key) for key in ("quality", "quality_lower", "doubts", "notes", "error")}
        listed.append({"id": name, "labelled": name in labelled, **known})
    return sorted(listed, key=_worst_first)


def _worst_first(study: dict[str, Any]) -> tuple[bool, bool, float, str]:
    quality = study["quality"]
    return study["labelled"], study["error"] is not None, 2.0 if quality is None else quality, study["id"]


@router.get("/lungseg/studies/{image}/picture", dependencies=[IN_DECODING_QUEUE])
def study_picture(user: AsUser, image: str) -> Response:
    """Return a study of any format as an 8-bit PNG."""
    return Response(encode_picture(read_radiograph(known_study(image))), media_type="image/png")


@router.get("/lungseg/studies/{image}/label", dependencies=[IN_DECODING_QUEUE])
def study_label(user: AsUser, image: str, tag: str = "final") -> Response:
    """Return a study's label map as a PNG; another program may have saved it in another format."""
    radiograph = known_study(image)
    file = the_app().datastore().label_file(image, plain_name(tag, "tag"))
    if file is None:
        raise HTTPException(404, f"the study {image!r} has no label {tag!r}; draw one.")
    content = encode_png(decode(file, radiograph))
    return Response(content, media_type="image/png", headers={"Cache-Control": "no-store"})
