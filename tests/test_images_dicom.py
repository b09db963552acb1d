# SPDX-License-Identifier: Apache-2.0
"""DICOM files are read as a viewer shows them."""

import io
import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from images_support import GREY, GREY16, write_dicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from lungseg.errors import LungsegError
from lungseg.images import read_radiograph

TWELVE = (GREY16 >> 4).astype(np.uint16)


def _read(path, pixels, **attributes):
    write_dicom(path, pixels, **attributes)
    return read_radiograph(path)


@pytest.mark.parametrize(
    ("pixels", "attributes", "expected"),
    [
        (GREY, {}, GREY),
        (GREY16, {}, GREY16),
        (TWELVE, {"BitsStored": 12, "HighBit": 11}, TWELVE),
        (TWELVE.astype(np.int16) - 1000, {}, TWELVE.astype(int) - 1000),
        (255 - GREY, {"PhotometricInterpretation": "MONOCHROME1"}, GREY),
        (255 - GREY, {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, GREY),
        (255 - GREY, {"PresentationLUTShape": "INVERSE"}, GREY),
        (4095 - TWELVE, {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}, TWELVE),
        (TWELVE, {"RescaleSlope": 2, "RescaleIntercept": -100}, 2 * TWELVE.astype(int) - 100),
        (
            GREY,
            {"RescaleSlope": -1, "RescaleIntercept": 255, "PhotometricInterpretation": "MONOCHROME1"},
            GREY,
        ),
        (np.stack([GREY] * 3, axis=-1), {}, GREY),
    ],
    ids=str,
)
def test_values_and_polarity(tmp_path, pixels, attributes, expected):
    radiograph = _read(tmp_path / "a.dcm", pixels, **attributes)
    assert radiograph.pixels.dtype == np.float32
    np.testing.assert_array_equal(radiograph.pixels, expected)


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_window_equals_pydicoms(tmp_path, function, photometric):
    apply_windowing = pytest.importorskip("pydicom.pixels").apply_windowing

    window = {"WindowCenter": [1800, 100], "WindowWidth": [2200, 50], "BitsStored": 12, "HighBit": 11}
    if function:
        window["VOILUTFunction"] = function
    dataset = write_dicom(tmp_path / "a.dcm", TWELVE, PhotometricInterpretation=photometric, **window)
    expected = apply_windowing(TWELVE, dataset)
    if photometric == "MONOCHROME1":
        expected = 4095 - expected
    np.testing.assert_allclose(read_radiograph(tmp_path / "a.dcm").pixels, expected, atol=0.01)


@pytest.mark.parametrize(("center", "width"), [(30000, 10), (100, 0), (-500, 100), ("", 100)])
def test_a_senseless_window_is_not_believed(tmp_path, center, width):
    radiograph = _read(tmp_path / "a.dcm", TWELVE, WindowCenter=center, WindowWidth=width)
    np.testing.assert_array_equal(radiograph.pixels, TWELVE)


@pytest.mark.parametrize("sequence", ["ModalityLUTSequence", "VOILUTSequence"])
def test_tables_of_eight_bits_do_not_wrap_around(tmp_path, sequence):
    item = Dataset()
    item.LUTDescriptor = [4096, 10, 8]
    item.LUTData = [entry >> 4 for entry in range(4096)]
    if sequence == "ModalityLUTSequence":
        item.ModalityLUTType = "US"
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    radiograph = _read(tmp_path / "a.dcm", TWELVE, BitsStored=12, HighBit=11, **{sequence: [item]})
    np.testing.assert_array_equal(radiograph.pixels, np.maximum(TWELVE.astype(int) - 10, 0) >> 4)


@pytest.mark.parametrize(
    ("attributes", "spacing", "kind"),
    [
        ({}, None, "unknown"),
        ({"PixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "patient"),
        ({"PixelSpacing": [0, 0]}, None, "unknown"),
        ({"PixelSpacing": [-0.2, 0.1]}, None, "unknown"),
        ({"PixelSpacing": [400, 400]}, None, "unknown"),
        ({"PixelSpacing": None}, None, "unknown"),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "detector"),
        ({"NominalScannedPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "detector"),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "detector"),
        ({"PixelSpacing": [0.18, 0.09], "ImagerPixelSpacing": [0.2, 0.1]}, (0.18, 0.09), "patient"),
        ({"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "detector"),
        (
            {
                "PixelSpacing": [0.2, 0.1],
                "ImagerPixelSpacing": [0.2, 0.1],
                "PixelSpacingCalibrationType": "FIDUCIAL",
            },
            (0.2, 0.1),
            "patient",
        ),
    ],
    ids=str,
)
def test_spacing_and_its_kind(tmp_path, attributes, spacing, kind):
    radiograph = _read(tmp_path / "a.dcm", GREY, **{k: v for k, v in attributes.items() if v is not None})
    assert (radiograph.spacing, radiograph.spacing_kind) == (spacing, kind)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"PixelData": None}, "holds no picture"),
        ({"Rows": None}, "holds no picture"),
        ({"NumberOfFrames": 2, "PixelData": GREY.tobytes() * 2}, "2 frames"),
        ({"Rows": 65535, "Columns": 65535}, "too large"),
        ({"Rows": 4, "PixelData": GREY[:4].tobytes()}, "too small"),
        ({"PixelData": GREY[:20].tobytes()}, "damaged"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "damaged .No suitable Palette"),
        ({"PhotometricInterpretation": "HSV"}, "stored as HSV"),
    ],
    ids=str,
)
def test_what_is_no_single_picture_is_refused(tmp_path, attributes, reason):
    write_dicom(tmp_path / "bad.dcm", GREY, **attributes)
    with pytest.raises(LungsegError, match=reason) as caught:
        read_radiograph(tmp_path / "bad.dcm")
    assert str(caught.value).startswith(str(tmp_path / "bad.dcm"))


@pytest.mark.skipif(int(pydicom.__version__.split(".")[0]) < 3, reason="pydicom 2 leaves these colours to guess")
def test_colours_compressed_as_jpeg_become_grey(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.stack([GREY] * 3, axis=-1)).save(buffer, "JPEG", quality=98)
    dataset = write_dicom(tmp_path / "a.dcm", np.stack([GREY] * 3, axis=-1))
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([buffer.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(tmp_path / "a.dcm", write_like_original=False)
    assert np.abs(read_radiograph(tmp_path / "a.dcm").pixels - GREY).mean() < 2


def test_compressed_and_plain_monochrome1_chest_agree():
    data = pytest.importorskip("pydicom.data")
    plain, compressed = (data.get_testdata_file(f"RG1_{kind}.dcm", download=False) for kind in ("UNCR", "J2KR"))
    if plain is None:
        pytest.skip("pydicom-data is not installed")
    radiograph = read_radiograph(plain)
    assert radiograph.pixels.shape == (1955, 1841)
    assert (radiograph.spacing, radiograph.spacing_kind) == (None, "unknown")
    # The spine between the lungs is bright, the lungs are dark: the file says MONOCHROME1.
    height, width = radiograph.pixels.shape
    spine, lung = radiograph.pixels[:, width // 2], radiograph.pixels[:, width // 4]
    middle = slice(height // 4, height // 2)
    assert np.median(spine[middle]) > np.median(lung[middle])
    np.testing.assert_array_equal(read_radiograph(compressed).pixels, radiograph.pixels)


@pytest.mark.parametrize(
    ("name", "spacing"), [("nih_dx_monochrome2.dcm", None), ("rsna_cr_monochrome2_jpeg.dcm", (0.168, 0.168))]
)
def test_real_chest_files(name, spacing):
    if "LUNGSEG_DATA" not in os.environ:
        pytest.skip("LUNGSEG_DATA names no data")
    radiograph = read_radiograph(Path(os.environ["LUNGSEG_DATA"], "dicom", name))
    assert radiograph.pixels.shape == (1024, 1024)
    assert radiograph.spacing == spacing
    assert radiograph.pixels.std() > 30
