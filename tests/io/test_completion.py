# SPDX-License-Identifier: Apache-2.0
"""Attributes that a DICOM file does not state are filled in where one value is sensible, and said."""

import struct
from importlib.util import find_spec
from io import BytesIO

import numpy as np
import pytest
from errors_support import fails
from images_support import COMPRESSED, GREY, GREY16, LOSSY, compress, only_frame, write_dicom, write_without_meta
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

import lungseg
from lungseg.data import phantom
from lungseg.io import read_radiograph, read_source
from lungseg.io.dicom.derived import Algorithm
from lungseg.io.dicom.secondary_capture import encode_dicom_overlay
from lungseg.io.dicom.segmentation import encode_dicom_seg

ALGORITHM = Algorithm("lungs", "1.2.3", "0123456789abcdef" * 4, "4.5.6")
COLOURS = np.stack([GREY] * 3, axis=-1)


def change(path, drop=(), **attributes) -> None:
    """Change attributes of a file; the ways of the pixel data stay."""
    dataset = dcmread(path)
    for name in drop:
        delattr(dataset, name)
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.save_as(path)


@pytest.mark.parametrize(
    ("attributes", "assumed"),
    [
        ({}, ""),
        ({"PhotometricInterpretation": None}, "PhotometricInterpretation MONOCHROME2"),
        ({"PhotometricInterpretation": ""}, "PhotometricInterpretation MONOCHROME2"),
        ({"PhotometricInterpretation": "monochrome2"}, "PhotometricInterpretation MONOCHROME2"),
        ({"PhotometricInterpretation": " MONOCHROME 2 "}, "PhotometricInterpretation MONOCHROME2"),
        ({"PhotometricInterpretation": "MONOCHROME"}, "PhotometricInterpretation MONOCHROME2"),
        ({"PhotometricInterpretation": "GRAYSCALE"}, "PhotometricInterpretation MONOCHROME2"),
        ({"PhotometricInterpretation": "RGB"}, "PhotometricInterpretation MONOCHROME2"),
        ({"PixelRepresentation": None}, "PixelRepresentation 0"),
        ({"PixelRepresentation": 7}, "PixelRepresentation 0"),
        ({"SamplesPerPixel": None}, "SamplesPerPixel 1"),
        ({"SamplesPerPixel": 7}, "SamplesPerPixel 1"),
        ({"SamplesPerPixel": None, "PhotometricInterpretation": None}, None),
        ({"BitsAllocated": None}, "BitsAllocated 16"),
        ({"BitsAllocated": 13}, "BitsAllocated 16"),
        ({"BitsStored": None}, "BitsStored 16"),
        ({"BitsStored": 20}, "BitsStored 16"),
        ({"HighBit": None}, "HighBit 15"),
        ({"BitsAllocated": None, "BitsStored": None, "HighBit": None, "PixelRepresentation": None}, None),
    ],
    ids=str,
)
def test_one_sensible_value_is_filled_in(tmp_path, attributes, assumed):
    write_dicom(tmp_path / "a.dcm", GREY16, **attributes)
    radiograph = read_radiograph(tmp_path / "a.dcm")
    np.testing.assert_array_equal(radiograph.pixels, GREY16)
    assert (
        radiograph.filled_in == assumed if assumed is not None else all(n in radiograph.filled_in for n in attributes)
    )


def test_an_inversion_that_is_stated_elsewhere_counts(tmp_path):
    write_dicom(tmp_path / "a.dcm", 255 - GREY, PhotometricInterpretation=None, PresentationLUTShape="INVERSE")
    radiograph = read_radiograph(tmp_path / "a.dcm")
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert radiograph.filled_in == "PhotometricInterpretation MONOCHROME1"


@pytest.mark.parametrize(
    ("attributes", "assumed"),
    [
        ({"PhotometricInterpretation": None}, "PhotometricInterpretation RGB"),
        ({"PhotometricInterpretation": "rgb"}, "PhotometricInterpretation RGB"),
        ({"SamplesPerPixel": None}, "SamplesPerPixel 3"),
        ({"SamplesPerPixel": 1}, "SamplesPerPixel 3"),
        ({"PlanarConfiguration": None}, "PlanarConfiguration 0"),
        (
            {"SamplesPerPixel": None, "PhotometricInterpretation": None},
            "SamplesPerPixel 3, PhotometricInterpretation RGB",
        ),
    ],
    ids=str,
)
def test_colours_are_filled_in(tmp_path, attributes, assumed):
    write_dicom(tmp_path / "a.dcm", COLOURS, **attributes)
    radiograph = read_radiograph(tmp_path / "a.dcm")
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert radiograph.filled_in == assumed


def _claiming(syntax):
    """Return a function that makes a file claim a transfer syntax, or none; the length of the group gets wrong."""

    def rewrite(path):
        content = path.read_bytes()
        at = content.index(b"\x02\0\x10\0UI")
        (length,) = struct.unpack_from("<H", content, at + 6)
        element = b""
        if syntax is not None:
            text = syntax.encode() + b"\0" * (len(syntax) % 2)
            element = b"\x02\0\x10\0UI" + struct.pack("<H", len(text)) + text
        path.write_bytes(content[:at] + element + content[at + 8 + length :])

    return rewrite


@pytest.mark.parametrize(
    "rewrite", [write_without_meta, _claiming(""), _claiming(None)], ids=["no meta", "empty", "none"]
)
@pytest.mark.parametrize("syntax", COMPRESSED)
def test_compressed_pixels_show_their_codec(tmp_path, syntax, rewrite):
    write_dicom(tmp_path / "a.dcm", GREY if COMPRESSED[syntax] == 8 else GREY16)
    compress(tmp_path / "a.dcm", syntax)
    expected = read_radiograph(tmp_path / "a.dcm")
    assert expected.filled_in == ""
    rewrite(tmp_path / "a.dcm")
    found = read_radiograph(tmp_path / "a.dcm")
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.filled_in.startswith("TransferSyntaxUID ")
    if syntax not in LOSSY:
        np.testing.assert_array_equal(found.pixels, GREY16)


@pytest.mark.parametrize(
    "syntax", ["JPEGBaselineProcess1", "JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless"]
)
def test_compressed_pixels_state_their_size_and_depth(tmp_path, syntax):
    write_dicom(tmp_path / "a.dcm", GREY if COMPRESSED[syntax] == 8 else GREY16)
    compress(tmp_path / "a.dcm", syntax)
    expected = read_radiograph(tmp_path / "a.dcm").pixels
    names = ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "Rows", "Columns")
    change(tmp_path / "a.dcm", (*names, "PhotometricInterpretation"))
    found = read_radiograph(tmp_path / "a.dcm")
    np.testing.assert_array_equal(found.pixels, expected)
    assert all(name in found.filled_in for name in names)


@pytest.mark.parametrize("stated", [JPEGBaseline8Bit, RLELossless, JPEG2000])
def test_pixels_that_are_not_compressed_as_stated_are_read(tmp_path, stated):
    write_dicom(tmp_path / "a.dcm", GREY16)
    _claiming(stated)(tmp_path / "a.dcm")
    found = read_radiograph(tmp_path / "a.dcm")
    np.testing.assert_array_equal(found.pixels, GREY16)
    assert found.filled_in == "TransferSyntaxUID Explicit VR Little Endian"


@pytest.mark.parametrize("stated", [ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless])
def test_the_codec_of_the_data_wins_over_the_stated_one(tmp_path, stated):
    write_dicom(tmp_path / "a.dcm", GREY16)
    compress(tmp_path / "a.dcm", "JPEG2000Lossless")
    _claiming(stated)(tmp_path / "a.dcm")
    found = read_radiograph(tmp_path / "a.dcm")
    np.testing.assert_array_equal(found.pixels, GREY16)
    assert found.filled_in == "TransferSyntaxUID JPEG 2000 Image Compression"


def test_a_codestream_without_items_is_read(tmp_path):
    write_dicom(tmp_path / "a.dcm", GREY16)
    compress(tmp_path / "a.dcm", "JPEG2000Lossless")
    write_dicom(tmp_path / "b.dcm", GREY16, PixelData=only_frame(tmp_path / "a.dcm"))
    np.testing.assert_array_equal(read_radiograph(tmp_path / "b.dcm").pixels, GREY16)


def test_an_unknown_codec_is_refused(tmp_path):
    write_dicom(tmp_path / "a.dcm", GREY16, PixelData=encapsulate([bytes(range(200))]))
    with fails("transfer-syntax-unknown"):
        read_radiograph(tmp_path / "a.dcm")


def test_pixels_that_begin_like_an_item_are_pixels(tmp_path):
    pixels = GREY.copy()
    pixels[0, :8] = (0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0)
    write_dicom(tmp_path / "a.dcm", pixels)
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.dcm").pixels, pixels)


@pytest.mark.skipif(find_spec("highdicom") is None, reason="the extra `dicom` is not installed")
@pytest.mark.parametrize("how", ["incomplete", "no meta"])
def test_derived_objects_refer_to_a_completed_file(tmp_path, how):
    pixels = phantom(3, (200, 180))[0]
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.4"}
    lacking = dict.fromkeys(("PhotometricInterpretation", "BitsStored", "HighBit", "PixelRepresentation"))
    write_dicom(tmp_path / "a.dcm", pixels, **uids, **(lacking if how == "incomplete" else {}))
    if how == "no meta":
        compress(tmp_path / "a.dcm", "JPEG2000Lossless")
        write_without_meta(tmp_path / "a.dcm")
    for source in (read_source(tmp_path / "a.dcm"), read_radiograph(tmp_path / "a.dcm").source):
        labels = (pixels > 99).astype(np.uint8)
        seg = dcmread(BytesIO(encode_dicom_seg(labels, source, ALGORITHM)))
        assert (seg.Rows, seg.Columns) == pixels.shape
        overlay = dcmread(BytesIO(encode_dicom_overlay(np.stack([pixels] * 3, -1), source, ALGORITHM)))
        assert overlay.StudyInstanceUID == "1.2.3"


def test_it_is_noted(tmp_path):
    write_dicom(tmp_path / "a.dcm", phantom(3, (200, 180))[0], PhotometricInterpretation=None)
    notes = lungseg.load(device="cpu").predict(tmp_path / "a.dcm").notes
    assert "PhotometricInterpretation MONOCHROME2" in notes["filled-in"]
