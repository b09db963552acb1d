# SPDX-License-Identifier: Apache-2.0
"""Which DICOM objects are frontal radiographs, as far as their headers say."""

from __future__ import annotations

import re
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from lungseg.io.dicom.file import open_dicom
from lungseg.io.dicom.header import view_of
from lungseg.io.formats import format_of
from lungseg.io.reading import read_head
from lungseg.utils.errors import LungsegError, first_line
from lungseg.workflows.deploy.study_file import StudyFile

# The objects that may hold a radiograph.
RADIOGRAPHS = frozenset(
    (ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation, SecondaryCaptureImageStorage)
)
MANUFACTURER = "lungseg"
# Modalities of captured radiographs; a digitised film (ConversionType DF) is one under any modality.
_CAPTURED = ("CR", "DX", "RG")
# A UID names files and folders here.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def look_at(path: Path) -> StudyFile:
    """Return the file as a case: selected, skipped with a reason, or failed where its header cannot be read."""
    case = StudyFile(path)
    try:
        head, _ = read_head(path)
        if format_of(head) != "dicom":
            case.skip("this is no DICOM file")
            return case
        header = open_dicom(path, stop_before_pixels=True)
        case.study, case.series, case.instance, case.sop_class = (
            str(header.get(name) or "")
            for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
        )
        reason = _why_not(header)
        if reason:
            case.skip(reason)
        elif not all(_UID.fullmatch(uid) and len(uid) <= 64 for uid in (case.study, case.series, case.instance)):
            case.fail(LungsegError("a UID is missing or no UID", path, "export it again"))
    except LungsegError as error:
        case.fail(error)
    except Exception as error:  # whatever a damaged byte leads pydicom to
        case.fail(LungsegError(f"the header cannot be read ({first_line(error)})", path, "copy or export it again"))
    return case


def _why_not(header: Dataset) -> str | None:
    sop_class = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID")
    if not sop_class:
        raise LungsegError("the DICOM file names no SOP class", header.filename, "copy or export it again")
    if MANUFACTURER in (header.get("Manufacturer"), header.get("ManufacturerModelName")):
        return "lungseg made it"
    if sop_class == DigitalXRayImageStorageForProcessing:
        return "it is meant for processing, not for presentation"
    if sop_class not in RADIOGRAPHS:
        return f"{sop_class.name} is no radiograph"
    if sop_class == SecondaryCaptureImageStorage:
        if header.get("Modality") not in _CAPTURED and header.get("ConversionType") != "DF":
            return f"a secondary capture of the modality {header.get('Modality') or '(none)'} is no radiograph"
        if header.get("SamplesPerPixel", 1) != 1:
            return "a secondary capture in colour is no radiograph"
    if view_of(header) == "lateral":
        return "the file says that this is a lateral view"
    return None
