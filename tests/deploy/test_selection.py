# SPDX-License-Identifier: Apache-2.0
"""Which objects the application selects as frontal radiographs."""

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

from lungseg.workflows.deploy.selection import read_study_file

CAPTURE = {"SOPClassUID": SecondaryCaptureImageStorage}


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"SOPClassUID": ComputedRadiographyImageStorage}, ""),
        ({"SOPClassUID": DigitalXRayImageStorageForPresentation, "Modality": "DX"}, ""),
        ({"SOPClassUID": DigitalXRayImageStorageForProcessing, "Modality": "DX"}, "for-processing"),
        ({"SOPClassUID": CTImageStorage, "Modality": "CT"}, "not-radiograph"),
        ({"ViewPosition": "AP"}, ""),
        ({"ViewPosition": "LATERAL"}, "lateral"),
        ({"PatientOrientation": ["A", "F"]}, "lateral"),
        (CAPTURE | {"Modality": "CR"}, ""),
        (CAPTURE | {"Modality": "RG"}, ""),
        (CAPTURE | {"Modality": "OT", "ConversionType": "DF"}, ""),
        (CAPTURE | {"Modality": "OT", "ConversionType": "WSD"}, "not-radiograph"),
        (CAPTURE | {"Modality": None}, "not-radiograph"),
        (CAPTURE | {"Modality": "DX", "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "not-radiograph"),
        ({"Manufacturer": "lungseg"}, "own-result"),
        ({"ManufacturerModelName": "lungseg"}, "own-result"),
    ],
    ids=str,
)
def test_the_header_decides(tmp_path, attributes, code):
    write_study_file(tmp_path / "a.dcm", "a", pixels=GREY, **attributes)
    study_file = read_study_file(tmp_path / "a.dcm")
    assert (study_file.status, study_file.code) == ("skipped" if code else "selected", code)
    assert bool(study_file.reason) == bool(code)


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
@pytest.mark.safety("foreign-names")
def test_a_uid_that_cannot_name_a_file_fails(tmp_path, attributes):
    write_study_file(tmp_path / "a.dcm", "a", pixels=GREY, **attributes)
    study_file = read_study_file(tmp_path / "a.dcm")
    assert (study_file.status, study_file.code) == ("failed", "uid-invalid")
    assert study_file.reason.startswith(f"{tmp_path / 'a.dcm'}: ")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("gone")], ids=["pipe", "dangling link"])
@pytest.mark.safety("not-a-file")
def test_a_path_that_is_not_a_file_fails_at_once(tmp_path, make):
    make(tmp_path / "a.dcm")
    study_file = read_study_file(tmp_path / "a.dcm")
    assert study_file.status == "failed"
    assert study_file.reason.startswith(f"{tmp_path / 'a.dcm'}: ")


def test_an_empty_file_is_not_a_dicom_file(tmp_path):
    (tmp_path / "a.dcm").touch()
    study_file = read_study_file(tmp_path / "a.dcm")
    assert (study_file.status, study_file.code) == ("skipped", "not-dicom")
