# SPDX-License-Identifier: Apache-2.0
"""Which DICOM objects are frontal radiographs according to their headers."""

from __future__ import annotations

from pathlib import Path

from pydicom import Dataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from lungseg.io.dicom.header import view_of
from lungseg.io.dicom.header_bytes import decode_header
from lungseg.io.dicom.stated_object import sop_class_of, stated_object
from lungseg.io.reading import read_source
from lungseg.utils.errors import LungsegError, first_line
from lungseg.utils.names import is_uid
from lungseg.workflows.deploy.study_file import StudyFile

# SOP classes that may hold a radiograph.
RADIOGRAPHS = frozenset(
    (ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation, SecondaryCaptureImageStorage)
)
MANUFACTURER = "lungseg"
# Modalities of secondary captures that are radiographs; a digitised film (ConversionType DF) is one in any modality.
_CAPTURED = ("CR", "DX", "RG")


def read_study_file(path: Path) -> StudyFile:
    """Read the header of a file and return it as selected, as skipped, or as failed if the header is not readable."""
    study_file = StudyFile(path)
    try:
        source = read_source(path)
        if source.format != "dicom":
            study_file.skip("not-dicom", "this is not a DICOM file")
            return study_file
        study_file.sha256, header = source.sha256, decode_header(source.header)
        study_file.study, study_file.series, study_file.instance, study_file.sop_class = (
            str(header.get(name) or "")
            for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
        )
        skip = _reason_to_skip(header, path)
        uids = (study_file.study, study_file.series, study_file.instance)
        if skip:
            study_file.skip(*skip)
        # UIDs become names of files and folders.
        elif not all(map(is_uid, uids)):
            what = "a UID is missing or not valid"
            study_file.fail(LungsegError(what, path, "export the file again", code="uid-invalid"))
    except LungsegError as error:
        if error.code in ("unknown-format", "empty-file"):
            study_file.skip("not-dicom", "this is not a DICOM file")
        else:
            study_file.fail(error)
    except Exception as error:  # a damaged byte can lead pydicom to any exception
        what, remedy = f"the header cannot be read ({first_line(error)})", "copy or export the file again"
        study_file.fail(LungsegError(what, path, remedy, code="header-unreadable"))
    return study_file


def _reason_to_skip(header: Dataset, path: Path) -> tuple[str, str] | None:
    """Return a code and a sentence, or None for a frontal radiograph."""
    sop_class = UID(sop_class_of(header))
    if not sop_class:
        what, remedy = "the DICOM file states no SOP class", "copy or export the file again"
        raise LungsegError(what, path, remedy, code="sop-class-missing")
    if MANUFACTURER in (header.get("Manufacturer"), header.get("ManufacturerModelName")):
        return "own-result", "this is a result of lungseg"
    if sop_class == DigitalXRayImageStorageForProcessing:
        return "for-processing", "this image is for processing, not for presentation"
    if said := stated_object(header):
        return "not-radiograph", f"the file says {said}"
    if sop_class not in RADIOGRAPHS:
        return "not-radiograph", f"{sop_class.name} is not a radiograph"
    if sop_class == SecondaryCaptureImageStorage:
        if header.get("Modality") not in _CAPTURED and header.get("ConversionType") != "DF":
            modality = header.get("Modality") or "(none)"
            return "not-radiograph", f"a secondary capture of the modality {modality} is not a radiograph"
        if header.get("SamplesPerPixel", 1) != 1:
            return "not-radiograph", "a secondary capture in colour is not a radiograph"
    if view_of(header) == "lateral":
        return "lateral", "the file says that this is a lateral view"
    return None
