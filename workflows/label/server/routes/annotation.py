# SPDX-License-Identifier: Apache-2.0
"""The annotation page, and what it asks for besides MONAI Label's own calls."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from lungseg.io import encode_png, read_radiograph
from lungseg.workflows.label.server.dependencies import AsUser, known_study, plain_name, the_app
from lungseg.workflows.label.store.label_maps import decode, picture

router = APIRouter(tags=["Annotation page"])
_PAGE = Path(__file__).resolve().parents[2] / "page"


def files() -> StaticFiles:
    """Return what serves the page's own files."""
    return StaticFiles(directory=_PAGE)


@router.get("/lungseg", include_in_schema=False)
def without_slash() -> RedirectResponse:
    """Lead to the page."""
    return RedirectResponse("/lungseg/")


@router.get("/lungseg/", include_in_schema=False)
def page() -> FileResponse:
    """Return the page."""
    return FileResponse(_PAGE / "index.html")


@router.get("/lungseg/studies")
def studies(user: AsUser) -> list[dict]:
    """List the studies, the worst first: `id`, `labelled`, `quality` and `flags`, or `error`; null while unknown."""
    app = the_app()
    labelled = set(app.datastore().get_labeled_images())
    findings, listed = app.survey.findings(), []
    for name in app.datastore().list_images():
        finding = findings.get(name, {})
        told = {key: finding.get(key) for key in ("quality", "flags", "error")}
        listed.append({"id": name, "labelled": name in labelled, **told})
    return sorted(listed, key=_worst_first)


def _worst_first(study: dict) -> tuple:
    quality = study["quality"]
    return study["labelled"], study["error"] is not None, 2.0 if quality is None else quality, study["id"]


@router.get("/lungseg/studies/{image}/picture")
def study_picture(user: AsUser, image: str) -> Response:
    """Return a study as a PNG of 8 bits, whatever its format."""
    return Response(picture(read_radiograph(known_study(image))), media_type="image/png")


@router.get("/lungseg/studies/{image}/label")
def study_label(user: AsUser, image: str, tag: str = "final") -> Response:
    """Return a study's label map as a PNG, whatever its format: another program may have put it there."""
    radiograph = known_study(image)
    file = the_app().datastore().label_file(image, plain_name(tag, "tag"))
    if file is None:
        raise HTTPException(404, f"the study {image!r} has no label {tag!r}; draw one.")
    content = encode_png(decode(file, radiograph))
    return Response(content, media_type="image/png", headers={"Cache-Control": "no-store"})
