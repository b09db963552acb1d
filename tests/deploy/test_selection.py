# SPDX-License-Identifier: Apache-2.0
"""Which objects the application takes for frontal radiographs."""

from __future__ import annotations

import os

import pytest
from deploy_support import write_study_file
from images_support import GREY
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from lungseg.workflows.deploy.selection import look_at

CAPTURE = {"SOPClassUID": SecondaryCaptureImageStorage}


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"SOPClassUID": ComputedRadiographyImageStorage}, ""),
        ({"SOPClassUID": DigitalXRayImageStorageForPresentation, "Modality": "DX"}, ""),
        ({"SOPClassUID": DigitalXRayImageStorageForProcessing, "Modality": "DX"}, "meant for processing"),
        ({"SOPClassUID": CTImageStorage, "Modality": "CT"}, "CT Image Storage is no radiograph"),
        ({"ViewPosition": "AP"}, ""),
        ({"ViewPosition": "LATERAL"}, "lateral view"),
        ({"PatientOrientation": ["A", "F"]}, "lateral view"),
        (CAPTURE | {"Modality": "CR"}, ""),
        (CAPTURE | {"Modality": "RG"}, ""),
        (CAPTURE | {"Modality": "OT", "ConversionType": "DF"}, ""),
        (CAPTURE | {"Modality": "OT", "ConversionType": "WSD"}, "of the modality OT is no radiograph"),
        (CAPTURE | {"Modality": None}, "of the modality (none)"),
        (CAPTURE | {"Modality": "DX", "SamplesPerPixel": 3}, "in colour"),
        ({"Manufacturer": "lungseg"}, "lungseg made it"),
        ({"ManufacturerModelName": "lungseg"}, "lungseg made it"),
    ],
    ids=str,
)
def test_what_the_header_says(tmp_path, attributes, reason):
    write_study_file(tmp_path / "a.dcm", "a", pixels=GREY, **attributes)
    case = look_at(tmp_path / "a.dcm")
    assert case.status == ("skipped" if reason else "selected")
    assert reason in case.reason


@pytest.mark.parametrize(
    "attributes",
    [
        {"StudyInstanceUID": ""},
        {"SeriesInstanceUID": ""},
        {"SOPInstanceUID": "1.2/3"},
        {"SOPInstanceUID": "1." * 40 + "1"},
    ],
    ids=str,
)
def test_what_cannot_be_named_fails(tmp_path, attributes):
    write_study_file(tmp_path / "a.dcm", "a", pixels=GREY, **attributes)
    case = look_at(tmp_path / "a.dcm")
    assert case.status == "failed"
    assert case.reason == f"{tmp_path / 'a.dcm'}: a UID is missing or no UID; export it again."


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "this is not a regular file; copy its content to a file first."),
        (lambda path: path.symlink_to("gone"), "there is no such file; check the name."),
    ],
    ids=["pipe", "dangling link"],
)
def test_what_is_no_file_fails_and_is_not_waited_for(tmp_path, make, reason):
    make(tmp_path / "a.dcm")
    case = look_at(tmp_path / "a.dcm")
    assert case.status == "failed"
    assert case.reason == f"{tmp_path / 'a.dcm'}: {reason}"


def test_an_empty_file_is_no_dicom_file(tmp_path):
    (tmp_path / "a.dcm").touch()
    assert look_at(tmp_path / "a.dcm").reason == "this is no DICOM file"
