# SPDX-License-Identifier: Apache-2.0
"""DICOM Segmentations of CR, DX and secondary captures: valid, right, and read back by others."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
from data_support import REAL, needs_real_data
from errors_support import fails
from images_support import write_dicom
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from lungseg.cli.demo import real_radiograph
from lungseg.data import phantom
from lungseg.io import read_source
from lungseg.io.dicom.segmentation import Algorithm, encode_dicom_seg
from lungseg.io.overlay import COLOURS
from lungseg.model.weights import weights_hash
from lungseg.version import __version__

highdicom = pytest.importorskip("highdicom", reason="the extra `dicom` is not installed")

ALGORITHM = Algorithm("lungs", "1.2.3", "0123456789abcdef" * 4, "4.5.6")
CLASSES = {
    "CR": ComputedRadiographyImageStorage,
    "DX": DigitalXRayImageStorageForPresentation,
    "SC": SecondaryCaptureImageStorage,
}
SPACINGS = {
    "none": {},
    "zero": {"PixelSpacing": [0, 0]},
    "patient": {"PixelSpacing": [0.2, 0.3]},
    "detector": {"ImagerPixelSpacing": [0.2, 0.3]},
    "both": {"ImagerPixelSpacing": [0.2, 0.3], "PixelSpacing": [0.2, 0.3]},
}
# What a source says of its patient and its study, all of it as it should be.
PATIENT = {
    "StudyInstanceUID": generate_uid(entropy_srcs=["study"]),
    "SeriesInstanceUID": generate_uid(entropy_srcs=["series"]),
    "PatientName": "Doe^Jane",
    "PatientID": "17",
    "PatientBirthDate": "19500101",
    "PatientSex": "F",
    "StudyDate": "20200202",
    "StudyTime": "120000",
    "AccessionNumber": "A1",
    "StudyID": "S1",
    "ReferringPhysicianName": "Who^Doctor",
    "PatientOrientation": ["L", "F"],
}
# Odd sizes: the bits of a row, and of a frame, do not fill bytes.
SIZE = (71, 67)
IMAGE, LABELS = phantom(3, SIZE)


@pytest.fixture(scope="module")
def predicted(tmp_path_factory, run_folder) -> Path:
    """A folder `in` with a source of each class and spacing, and `out` with what was made of them."""
    from lungseg.inference.predict import predict

    folder = tmp_path_factory.mktemp("seg")
    (folder / "in").mkdir()
    for name, uid in CLASSES.items():
        for spacing, attributes in SPACINGS.items():
            path = folder / "in" / f"{name}_{spacing}.dcm"
            modality = "OT" if name == "SC" else name
            write_dicom(path, IMAGE, SOPClassUID=uid, Modality=modality, **PATIENT, **attributes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = predict([folder / "in"], folder / "out", run_folder, "cpu", kinds=["labels", "dicom-seg"])
    assert {row.status for row in rows} <= {"ok", "flagged"}, rows
    return folder


def problems(path: Path) -> set[str]:
    """The errors that dciodvfy finds in a DICOM file."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, errors="replace", timeout=60)
    lines = done.stderr.splitlines()
    assert lines, done
    return {line for line in lines if line.startswith("Error")}


def write_seg(folder: Path, labels: np.ndarray = LABELS, algorithm: Algorithm = ALGORITHM, **attributes) -> Path:
    """Write a source with these attributes, and its segmentation."""
    write_dicom(folder / "source.dcm", IMAGE, **PATIENT | attributes)
    (folder / "seg.dcm").write_bytes(encode_dicom_seg(labels, read_source(folder / "source.dcm"), algorithm))
    return folder / "seg.dcm"


def check_round_trip(path: Path, labels: np.ndarray, source: Dataset) -> None:
    """Read the labels back, with highdicom by the source's UID, and with pydicom alone."""
    seg = highdicom.seg.segread(path)
    read = seg.get_pixels_by_source_instance([source.SOPInstanceUID], combine_segments=True)
    np.testing.assert_array_equal(read[0], labels)
    frames = dcmread(path).pixel_array
    np.testing.assert_array_equal(frames, [labels == 1, labels == 2])


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("name", CLASSES)
def test_a_segmentation_is_valid_and_gives_the_same_mask(predicted, name, spacing):
    path = predicted / "out" / "dicom-seg" / f"{name}_{spacing}.dcm"
    source = dcmread(predicted / "in" / path.name)
    with Image.open(predicted / "out" / "labels" / f"{path.stem}.png") as image:
        labels = np.asarray(image)
    assert labels.any()
    check_round_trip(path, labels, source)
    assert not problems(path)


@pytest.mark.parametrize("name", CLASSES)
def test_it_names_the_lungs_the_source_and_the_weights(predicted, run_folder, name):
    seg = highdicom.seg.segread(predicted / "out" / "dicom-seg" / f"{name}_none.dcm")
    source = dcmread(predicted / "in" / f"{name}_none.dcm")
    segments = [seg.get_segment_description(number) for number in seg.segment_numbers]
    assert [(segment.segment_label, segment.segmented_property_type.value) for segment in segments] == [
        ("Right lung", "3341006"),
        ("Left lung", "44029006"),
    ]
    sha256 = weights_hash(run_folder / "model.pt")
    for segment in segments:
        assert segment.segmented_property_type.scheme_designator == "SCT"
        assert segment.algorithm_type.value == "AUTOMATIC"
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert algorithm.AlgorithmName == "lung_cxr_segmentation"
        assert algorithm.AlgorithmVersion == f"{__version__}+{sha256[:12]}"
        assert algorithm.AlgorithmParameters == f"weights_sha256={sha256}"
    assert seg.get_source_image_uids() == [
        (source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID),
    ]
    references = [seg.SourceImageSequence[0]]
    references += [
        frame.DerivationImageSequence[0].SourceImageSequence[0] for frame in seg.PerFrameFunctionalGroupsSequence
    ]
    assert {(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in references} == {
        (source.SOPClassUID, source.SOPInstanceUID)
    }
    for attribute in ("StudyInstanceUID", "PatientName", "PatientID", "PatientSex", "StudyDate", "AccessionNumber"):
        assert seg[attribute].value == source[attribute].value
    assert seg.SeriesInstanceUID != source.SeriesInstanceUID
    assert seg.PatientOrientation == ["L", "F"]


@pytest.mark.parametrize("spacing", SPACINGS)
def test_it_states_no_spacing_which_holds_in_slices_alone(predicted, spacing):
    seg = dcmread(predicted / "out" / "dicom-seg" / f"CR_{spacing}.dcm")
    names = {element.keyword for element in seg.iterall()}
    assert not names & {"PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "ImagerPixelSpacing"}


@pytest.mark.parametrize("lungs", [(), (1,), (2,)], ids=str)
def test_a_lung_that_is_not_there_is_an_empty_segment(tmp_path, lungs):
    labels = np.where(np.isin(LABELS, lungs), LABELS, 0).astype(np.uint8)
    path = write_seg(tmp_path, labels)
    check_round_trip(path, labels, dcmread(tmp_path / "source.dcm"))
    assert not problems(path)


@pytest.mark.parametrize(
    "attributes",
    [
        dict.fromkeys([name for name in PATIENT if not name.endswith("InstanceUID")], "") | {"Modality": ""},
        {"PatientSex": "female", "StudyDate": "yesterday", "StudyTime": "noon", "PatientBirthDate": "2.1.1950"},
        {"PatientName": "山田^太郎", "SpecificCharacterSet": ["", "ISO 2022 IR 87"]},
        {"PatientName": "Müller^Zoë", "SpecificCharacterSet": "ISO_IR 192"},
        {"FrameOfReferenceUID": "1.2.3.4", "PositionReferenceIndicator": ""},
        {"FrameOfReferenceUID": "1.2.3.4", "ImagePositionPatient": [0, 0, 0], "PixelSpacing": [0.2, 0.2]},
        {"LossyImageCompression": "01", "LossyImageCompressionMethod": "ISO_10918_1"},
    ],
    ids=["empty", "invalid", "japanese", "utf-8", "frame of reference", "position", "lossy"],
)
def test_odd_headers(tmp_path, attributes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = write_seg(tmp_path, **attributes)
        check_round_trip(path, LABELS, dcmread(tmp_path / "source.dcm"))
    assert problems(path) <= problems(tmp_path / "source.dcm")
    if "PatientName" in attributes:
        assert dcmread(path).PatientName == attributes["PatientName"]


def test_a_source_without_type_2_attributes(tmp_path):
    uids = {name: value for name, value in PATIENT.items() if name.endswith("InstanceUID")}
    write_dicom(tmp_path / "source.dcm", IMAGE, **uids, Modality=None)
    (tmp_path / "seg.dcm").write_bytes(encode_dicom_seg(LABELS, read_source(tmp_path / "source.dcm"), ALGORITHM))
    check_round_trip(tmp_path / "seg.dcm", LABELS, dcmread(tmp_path / "source.dcm"))
    assert not problems(tmp_path / "seg.dcm")


def test_a_damaged_value_is_left_out(tmp_path):
    write_dicom(tmp_path / "source.dcm", IMAGE, **PATIENT, PregnancyStatus=4)
    content = (tmp_path / "source.dcm").read_bytes()
    good, bad = (b"\x10\x00\xc0\x21US" + rest for rest in (b"\2\0\4\0", b"\3\0\4\0\0"))
    assert good in content
    (tmp_path / "source.dcm").write_bytes(content.replace(good, bad))
    (tmp_path / "seg.dcm").write_bytes(encode_dicom_seg(LABELS, read_source(tmp_path / "source.dcm"), ALGORITHM))
    assert "PregnancyStatus" not in dcmread(tmp_path / "seg.dcm")
    check_round_trip(tmp_path / "seg.dcm", LABELS, dcmread(tmp_path / "source.dcm"))


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": "CT"}, "header-unsupported"),
        ({"SOPClassUID": "1.2.3.4.5"}, "header-unsupported"),
        ({"Rows": 70}, "header-unsupported"),
        ({"SeriesInstanceUID": ""}, "attribute-missing"),
        ({"PatientOrientation": ["R", "F"]}, "mirrored-header"),
    ],
    ids=["ct", "private class", "other size", "no series", "mirrored"],
)
def test_a_source_that_highdicom_cannot_use(tmp_path, attributes, code):
    with fails(code) as caught:
        write_seg(tmp_path, **attributes)
    assert str(tmp_path / "source.dcm") in str(caught.value)
    assert "leave out dicom-seg for this file." in str(caught.value)


def test_the_same_result_has_the_same_uids(tmp_path):
    def uids(**changes) -> tuple[str, str]:
        seg = dcmread(write_seg(tmp_path, **changes))
        return seg.SOPInstanceUID, seg.SeriesInstanceUID

    first = uids()
    assert uids() == first
    other = Algorithm("lungs", "1.2.3", "f" * 64, "4.5.6")
    for changes in ({"labels": LABELS[::-1].copy()}, {"algorithm": other}, {"SOPInstanceUID": "1.2.3"}):
        assert not set(uids(**changes)) & set(first)


def test_the_colours_are_the_overlays(tmp_path):
    seg = highdicom.seg.segread(write_seg(tmp_path))
    for number, colour in COLOURS.items():
        if number in seg.segment_numbers:
            lab = seg.get_segment_description(number).RecommendedDisplayCIELabValue
            shown = highdicom.color.CIELabColor.from_dicom_value(lab).to_rgb()
            assert np.abs(np.subtract(shown, colour)).max() <= 1


@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", "RG1_J2KR.dcm"])
def test_a_real_radiograph(tmp_path, name):
    if real_radiograph() is None:
        pytest.skip("the package pydicom-data is not installed")
    check_real(real_radiograph().with_name(name), tmp_path)


@needs_real_data
@pytest.mark.parametrize("name", ["nih_dx_monochrome2.dcm", "rsna_cr_monochrome2_jpeg.dcm"])
def test_real_data(tmp_path, name):
    check_real(REAL / "dicom" / name, tmp_path)


def check_real(path: Path, folder: Path) -> None:
    source = dcmread(path)
    labels = np.random.default_rng(0).integers(0, 3, (source.Rows, source.Columns), dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (folder / "seg.dcm").write_bytes(encode_dicom_seg(labels, read_source(path), ALGORITHM))
        check_round_trip(folder / "seg.dcm", labels, source)
    assert problems(folder / "seg.dcm") <= problems(path)


def test_the_heart_is_a_segment_that_may_overlap_the_lungs(tmp_path):
    write_dicom(tmp_path / "source.dcm", IMAGE, **PATIENT)
    heart = np.zeros(LABELS.shape, dtype=bool)
    heart[20:50, 25:60] = True
    assert (heart & (LABELS > 0)).any()
    made = {
        extent: encode_dicom_seg(LABELS, read_source(tmp_path / "source.dcm"), ALGORITHM, extent=extent, heart=heart)
        for extent in ("visible", "full")
    }
    (tmp_path / "seg.dcm").write_bytes(made["full"])
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    segments = [seg.get_segment_description(number) for number in seg.segment_numbers]
    assert [segment.segmented_property_type.value for segment in segments] == ["3341006", "44029006", "80891009"]
    assert "behind the heart" in segments[0].SegmentDescription
    assert "SegmentDescription" not in segments[2]
    np.testing.assert_array_equal(dcmread(tmp_path / "seg.dcm").pixel_array, [LABELS == 1, LABELS == 2, heart])
    assert not problems(tmp_path / "seg.dcm")
    (tmp_path / "other.dcm").write_bytes(made["visible"])
    other = dcmread(tmp_path / "other.dcm")
    assert other.SOPInstanceUID != seg.SOPInstanceUID
    assert "Visible" in other.SegmentSequence[0].SegmentDescription
