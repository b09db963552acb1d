# SPDX-License-Identifier: Apache-2.0
"""Which DICOM objects say that they are not chest radiographs, alone and in a folder."""

import numpy as np
import pytest
from errors_support import fails
from images_support import GREY, write_dicom, write_without_meta
from pydicom import Dataset, dcmread
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    XRayRadiofluoroscopicImageStorage,
)

from lungseg.data import RadiographReader
from lungseg.data.image_reader import as_monai, from_monai
from lungseg.io import find_radiographs, read_radiograph


def region(value: str, meaning: str) -> list[Dataset]:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", meaning
    return [code]


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({}, ""),
        ({"Modality": None}, ""),
        ({"Modality": "DX"}, ""),
        ({"Modality": "RG"}, ""),
        ({"Modality": "OT", "SOPClassUID": SecondaryCaptureImageStorage}, ""),
        ({"Modality": "RF", "SOPClassUID": XRayRadiofluoroscopicImageStorage}, ""),
        ({"SOPClassUID": DigitalXRayImageStorageForProcessing}, ""),
        ({"SOPClassUID": "1.2.3.4"}, ""),
        ({"Modality": "CT", "SOPClassUID": CTImageStorage}, "CT"),
        ({"Modality": "ct"}, "CT"),
        ({"Modality": "MR"}, "MR"),
        ({"Modality": "PX"}, "PX"),
        ({"Modality": None, "SOPClassUID": MRImageStorage}, "MR"),
        ({"Modality": "CR", "SOPClassUID": UltrasoundImageStorage}, "US"),
        ({"Modality": None, "SOPClassUID": DigitalMammographyXRayImageStorageForPresentation}, "MG"),
        ({"Modality": "CT", "BodyPartExamined": "CHEST"}, "CT"),
        ({"BodyPartExamined": ""}, ""),
        ({"BodyPartExamined": "CHEST"}, ""),
        ({"BodyPartExamined": "Chest AP"}, ""),
        ({"BodyPartExamined": "THORAX"}, ""),
        ({"BodyPartExamined": "TÓRAX", "SpecificCharacterSet": "ISO_IR 100"}, ""),
        ({"BodyPartExamined": "LUNG"}, ""),
        ({"BodyPartExamined": "RIBS"}, ""),
        ({"BodyPartExamined": "CHESTABDOMEN"}, ""),
        ({"BodyPartExamined": "ABDOMEN AND THORAX"}, ""),
        ({"BodyPartExamined": "WHOLEBODY"}, ""),
        ({"BodyPartExamined": "SOMETHING"}, ""),
        ({"BodyPartExamined": "KNEE"}, "KNEE"),
        ({"BodyPartExamined": "knee_left"}, "KNEE"),
        ({"BodyPartExamined": "HAND"}, "HAND"),
        ({"BodyPartExamined": "SKULL"}, "SKULL"),
        ({"BodyPartExamined": "ABDOMEN"}, "ABDOMEN"),
        ({"BodyPartExamined": "CSPINE"}, "CSPINE"),
        ({"BodyPartExamined": "FUSS"}, "FUSS"),
        # Some devices state the part that was set for the patient before.
        ({"BodyPartExamined": "HAND", "SeriesDescription": "Thorax p.a."}, ""),
        ({"AnatomicRegionSequence": region("51185008", "Brustkorb")}, ""),
        ({"AnatomicRegionSequence": region("72696002", "Kniegelenk")}, "KNEE"),
        ({"AnatomicRegionSequence": region("99", "Left hand")}, "HAND"),
    ],
    ids=str,
)
def test_the_header_states_another_object(tmp_path, attributes, said):
    write_dicom(tmp_path / "a.dcm", GREY, **attributes)
    assert read_radiograph(tmp_path / "a.dcm").stated_object == said
    found = find_radiographs([tmp_path], allow_none=True)
    assert found.companions == ({tmp_path / "a.dcm": said} if said else {})
    assert bool(found.radiographs) == (not said)
    # A file that is named is always taken.
    assert len(find_radiographs([tmp_path / "a.dcm"]).radiographs) == 1


def write_long(path, **attributes) -> Dataset:
    """Write a header that states its object behind more bytes than are read to list a folder."""
    images = [Dataset() for _ in range(300)]
    for image in images:
        image.ReferencedSOPClassUID = image.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1"
    return write_dicom(path, GREY, ReferencedImageSequence=images, **attributes)


@pytest.mark.parametrize("part", ["KNEE", "CHEST"])
def test_a_long_header_is_read_to_where_it_states_its_object(tmp_path, part):
    write_long(tmp_path / "a.dcm", BodyPartExamined=part)
    found = find_radiographs([tmp_path], allow_none=True)
    assert found.companions == ({tmp_path / "a.dcm": "KNEE"} if part == "KNEE" else {})


def test_a_deflated_header_counts(tmp_path):
    dataset = write_dicom(tmp_path / "a.dcm", np.tile(GREY, (8, 8)), BodyPartExamined="HAND")
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(tmp_path / "a.dcm", write_like_original=False)
    assert dcmread(tmp_path / "a.dcm").BodyPartExamined == "HAND"
    assert find_radiographs([tmp_path], allow_none=True).companions == {tmp_path / "a.dcm": "HAND"}


@pytest.mark.parametrize("implicit", [True, False])
def test_a_file_without_meta_information_counts(tmp_path, implicit):
    write_dicom(tmp_path / "a.dcm", GREY, Modality="MR")
    write_without_meta(tmp_path / "a.dcm", implicit)
    assert (tmp_path / "a.dcm").read_bytes()[128:132] != b"DICM"
    assert find_radiographs([tmp_path], allow_none=True).companions == {tmp_path / "a.dcm": "MR"}


def test_a_folder_of_companions_says_what_they_are(tmp_path):
    write_dicom(tmp_path / "a.dcm", GREY, Modality="CT")
    with fails("no-pictures") as caught:
        find_radiographs([tmp_path])
    assert "say CT" in str(caught.value)


def test_the_fact_goes_through_monai(tmp_path):
    write_dicom(tmp_path / "a.dcm", GREY, Modality="CT")
    _, meta = RadiographReader().get_data(tmp_path / "a.dcm")
    assert meta["stated_object"] == "CT"
    radiograph = read_radiograph(tmp_path / "a.dcm")
    again = from_monai(*map(_as_tensor, as_monai(radiograph, "a.dcm")))
    assert again.stated_object == "CT"


def _as_tensor(value):
    import torch

    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value
