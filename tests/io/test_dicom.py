# SPDX-License-Identifier: Apache-2.0
"""DICOM files are read as a viewer shows them."""

import io
import multiprocessing
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
import pytest
from data_support import REAL, needs_real_data
from errors_support import fails
from images_support import COMPRESSED, GREY, GREY16, compress, write_dicom
from monai.transforms import LoadImage
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

from lungseg.data import RadiographReader
from lungseg.io import read_radiograph, reader_process
from lungseg.io.content import read_content
from lungseg.io.dicom.reader import read_dicom
from lungseg.utils.errors import LungsegError

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


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("pixels", "value", "limit"),
    [
        (GREY, 255, None),
        (GREY, 250, 255),
        (GREY, 255, 250),
        (TWELVE.astype(np.int16) - 1000, 65535, None),
        (TWELVE.astype(np.int16) - 1000, -1000, None),
    ],
    ids=str,
)
def test_padding_becomes_as_dark_as_the_darkest_part(tmp_path, pixels, value, limit, photometric):
    ends = np.array((value, value if limit is None else limit)).astype(pixels.dtype)
    padding = (pixels >= ends.min()) & (pixels <= ends.max())
    padding[:, -10:] = True
    padded = np.where(padding, ends[0], pixels)
    stated = {"PhotometricInterpretation": photometric}
    plain = _read(tmp_path / "a.dcm", padded, **stated).pixels
    # Written as an unsigned number, whatever the pixels are, which readers have to cope with.
    attributes = {"PixelPaddingValue": int(np.uint16(ends[0])) if pixels.dtype.kind == "i" else value}
    if limit is not None:
        attributes["PixelPaddingRangeLimit"] = limit
    dataset = write_dicom(tmp_path / "b.dcm", padded, **stated)
    for name, number in attributes.items():
        dataset.add_new(name, "US", number)
    dataset.save_as(tmp_path / "b.dcm", write_like_original=False)
    expected = np.where(padding, plain[~padding].min(), plain)
    np.testing.assert_array_equal(read_radiograph(tmp_path / "b.dcm").pixels, expected)


@pytest.mark.parametrize("value", [65535, 63536])
def test_padding_that_no_pixel_can_have_is_none(tmp_path, value):
    radiograph = _read(tmp_path / "a.dcm", TWELVE, BitsStored=12, HighBit=11, PixelPaddingValue=value)
    np.testing.assert_array_equal(radiograph.pixels, TWELVE)


def test_padding_does_not_count_as_shown_by_a_window(tmp_path):
    padded = TWELVE.copy()
    padded[:, 10:] = 0
    window = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 1000, "WindowWidth": 2000, "PixelPaddingValue": 0}
    radiograph = _read(tmp_path / "a.dcm", padded, **window)
    shown = np.clip((TWELVE - 0.5) / 1999 * 4095, 0, 4095)
    np.testing.assert_allclose(radiograph.pixels[:, 1:10], shown[:, 1:10], atol=3)


def test_a_picture_that_is_all_padding_is_not_believed_to_be(tmp_path):
    radiograph = _read(tmp_path / "a.dcm", GREY, PixelPaddingValue=0, PixelPaddingRangeLimit=255)
    np.testing.assert_array_equal(radiograph.pixels, GREY)


def _view_code(value: str, meaning: str) -> list[Dataset]:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", meaning
    return [code]


@pytest.mark.parametrize(
    ("attributes", "view"),
    [
        ({}, None),
        ({"ViewPosition": ""}, None),
        ({"ViewPosition": "PA"}, "frontal"),
        ({"ViewPosition": "AP"}, "frontal"),
        ({"ViewPosition": "LL"}, "lateral"),
        ({"ViewPosition": "RL"}, "lateral"),
        ({"ViewPosition": "LATERAL"}, "lateral"),
        ({"ViewPosition": "Lat. left"}, "lateral"),
        ({"ViewPosition": "LLD"}, "frontal"),
        ({"ViewPosition": "LLO"}, "oblique"),
        ({"ViewPosition": "RAO"}, "oblique"),
        ({"ViewPosition": "SKULL"}, None),
        ({"ViewCodeSequence": _view_code("399173006", "von links")}, "lateral"),
        ({"ViewCodeSequence": _view_code("272479007", "postero-anterior")}, "frontal"),
        ({"ViewCodeSequence": _view_code("99", "right lateral")}, "lateral"),
        ({"ViewCodeSequence": _view_code("260427002", "lateral oblique")}, "oblique"),
        ({"ViewCodeSequence": _view_code("99", "left lateral decubitus")}, "frontal"),
        ({"ViewPosition": "LAT OBL"}, "oblique"),
        ({"ViewPosition": "OBL LAT"}, "oblique"),
        ({"ViewCodeSequence": []}, None),
        ({"PatientOrientation": ["L", "F"]}, "frontal"),
        ({"PatientOrientation": ["P", "F"]}, "lateral"),
        ({"PatientOrientation": ["AR", "FP"]}, "lateral"),
        ({"PatientOrientation": ["F", "L"]}, "frontal"),
        ({"PatientOrientation": ["L", "P"]}, None),
        ({"PatientOrientation": ""}, None),
        ({"ViewPosition": "PA", "PatientOrientation": ["A", "F"]}, "frontal"),
        ({"ViewPosition": "lateral  "}, "lateral"),
        ({"ProjectionEponymousNameCodeSequence": _view_code("99", "lateral")}, "lateral"),
        ({"SeriesDescription": "CHEST LAT"}, "lateral"),
        ({"SeriesDescription": "Thorax seitlich"}, "lateral"),
        ({"SeriesDescription": "Thorax de profil"}, "lateral"),
        ({"SeriesDescription": "W033 ChestLat"}, "lateral"),
        ({"SeriesDescription": "thorax_lateral"}, "lateral"),
        ({"SeriesDescription": "Chest x-table lateral"}, "lateral"),
        ({"ProtocolName": "Chest, lateral"}, "lateral"),
        ({"AcquisitionDeviceProcessingDescription": "CHEST LATERAL"}, "lateral"),
        ({"SeriesDescription": "Chest", "ProtocolName": "LATERAL"}, "lateral"),
        ({"SeriesDescription": "CHEST LAT", "PatientOrientation": ["L", "F"]}, "lateral"),
        # The series may have both, and a study may.
        ({"SeriesDescription": "CHEST PA AND LATERAL"}, None),
        ({"SeriesDescription": "Chest PA/LAT", "ViewPosition": "LL"}, "lateral"),
        ({"StudyDescription": "CHEST LATERAL"}, None),
        ({"SeriesDescription": "CHEST LATERAL", "ViewPosition": "PA"}, "frontal"),
        ({"SeriesDescription": "CHEST LAT DECUB"}, None),
        ({"SeriesDescription": "left lateral decubitus"}, None),
        ({"SeriesDescription": "BILATERAL RIBS"}, None),
        ({"SeriesDescription": "unilateral, collateral"}, None),
        ({"ProtocolName": "laterality unknown"}, None),
    ],
    ids=str,
)
def test_view_as_the_file_states_it(tmp_path, attributes, view):
    assert _read(tmp_path / "a.dcm", GREY, **attributes).view == view
    image = LoadImage(reader=RadiographReader())(tmp_path / "a.dcm")
    assert image.meta["view"] == (view or "")


@pytest.mark.parametrize(
    ("attributes", "projection", "supine"),
    [
        ({}, None, False),
        ({"ViewPosition": "PA"}, "PA", False),
        ({"ViewPosition": "AP"}, "AP", False),
        ({"ViewPosition": "AP SUPINE"}, "AP", True),
        ({"ViewPosition": "postero-anterior"}, "PA", False),
        ({"ViewPosition": "PA", "SeriesDescription": "chest AP"}, "PA", False),
        ({"SeriesDescription": "Chest portable supine"}, "AP", True),
        ({"ProtocolName": "Thorax PA"}, "PA", False),
        ({"AcquisitionDeviceProcessingDescription": "CHEST AP"}, "AP", False),
        ({"SeriesDescription": "AP and PA"}, None, False),
        ({"ViewCodeSequence": _view_code("272479007", "von hinten")}, "PA", False),
        ({"ViewCodeSequence": _view_code("399348003", "von vorn")}, "AP", False),
        ({"ViewCodeSequence": _view_code("99", "antero-posterior")}, "AP", False),
        ({"PatientPosition": "HFS"}, None, True),
        ({"PatientPosition": "HFS", "ViewPosition": "PA"}, "PA", False),
        ({"PatientOrientationCodeSequence": _view_code("102538003", "recumbent")}, None, True),
        ({"PatientOrientationCodeSequence": _view_code("10904000", "erect")}, None, False),
    ],
    ids=str,
)
def test_projection_and_position_as_the_file_states_them(tmp_path, attributes, projection, supine):
    radiograph = _read(tmp_path / "a.dcm", GREY, **attributes)
    assert (radiograph.projection, radiograph.supine) == (projection, supine)
    image = LoadImage(reader=RadiographReader())(tmp_path / "a.dcm")
    assert (image.meta["projection"], image.meta["supine"]) == (projection or "", supine)


@pytest.mark.parametrize(
    ("orientation", "flipped"),
    [
        (["L", "F"], False),
        (["R", "F"], True),
        (["RA", "F"], True),
        # Upside down, by a flip or by half a turn; and on its side.
        (["L", "H"], True),
        (["R", "H"], False),
        (["F", "R"], False),
        (["F", "L"], True),
        (["A", "F"], False),
        ("", False),
    ],
    ids=str,
)
def test_a_mirrored_picture_is_told_by_the_file(tmp_path, orientation, flipped):
    assert _read(tmp_path / "a.dcm", GREY, PatientOrientation=orientation).flipped is flipped


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


def test_of_several_windows_the_one_that_shows_most_is_used(tmp_path):
    windows = {"WindowCenter": [3000, 2048.5], "WindowWidth": [1000, 4096], "BitsStored": 12, "HighBit": 11}
    np.testing.assert_allclose(_read(tmp_path / "a.dcm", TWELVE, **windows).pixels, TWELVE, atol=1)


def test_a_sigmoid_that_shows_little_is_not_believed(tmp_path):
    window = {"WindowCenter": 40, "WindowWidth": 80, "VOILUTFunction": "SIGMOID", "BitsStored": 12, "HighBit": 11}
    np.testing.assert_array_equal(_read(tmp_path / "a.dcm", TWELVE, **window).pixels, TWELVE)


@pytest.mark.parametrize(
    "attributes",
    [
        {"WindowCenter": "abc", "WindowWidth": "100"},
        {"WindowCenter": "2048,5", "WindowWidth": "4096"},
        {"RescaleSlope": "1,5", "RescaleIntercept": "0"},
        {"PixelSpacing": "a\\b"},
    ],
    ids=str,
)
def test_display_attributes_that_are_no_numbers_spoil_nothing(tmp_path, attributes):
    write_dicom(tmp_path / "a.dcm", TWELVE, BitsStored=12, HighBit=11)
    with pydicom.config.disable_value_validation():
        dataset = pydicom.dcmread(tmp_path / "a.dcm")
        for name, text in attributes.items():
            tag = pydicom.datadict.tag_for_keyword(name)
            dataset._dict[pydicom.tag.Tag(tag)] = pydicom.dataelem.RawDataElement(
                pydicom.tag.Tag(tag), "DS", len(text), text.encode(), 0, False, True
            )
        dataset.save_as(tmp_path / "a.dcm")
    radiograph = read_radiograph(tmp_path / "a.dcm")
    np.testing.assert_array_equal(radiograph.pixels, TWELVE)
    assert radiograph.spacing is None


def test_bits_at_the_upper_end_of_their_words(tmp_path):
    radiograph = _read(tmp_path / "a.dcm", TWELVE << 4, BitsStored=12, HighBit=15)
    np.testing.assert_array_equal(radiograph.pixels, TWELVE)


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless"])
def test_compressed_bits_at_the_upper_end_of_their_words(tmp_path, syntax):
    write_dicom(tmp_path / "a.dcm", TWELVE << 4)
    compress(tmp_path / "a.dcm", syntax)
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    dataset.BitsStored, dataset.HighBit = 12, 15
    dataset.save_as(tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.dcm").pixels, TWELVE)


@pytest.mark.parametrize(
    "stated", [{"BitsStored": 12, "HighBit": None}, {"BitsStored": None, "HighBit": 11}, {"BitsStored": None}], ids=str
)
def test_the_bits_in_use_need_not_be_stated(tmp_path, stated):
    radiograph = _read(tmp_path / "a.dcm", TWELVE, **stated)
    np.testing.assert_array_equal(radiograph.pixels, TWELVE)


def test_what_is_no_sequence_is_none(tmp_path):
    write_dicom(tmp_path / "a.dcm", TWELVE, BitsStored=12, HighBit=11)
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    for name in ("ViewCodeSequence", "VOILUTSequence"):
        dataset.add_new(name, "LO", "of no kind")
    dataset.save_as(tmp_path / "a.dcm")
    radiograph = read_radiograph(tmp_path / "a.dcm")
    assert radiograph.view is None
    np.testing.assert_array_equal(radiograph.pixels, TWELVE)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("window", [{}, {"WindowCenter": 2048, "WindowWidth": 4096}], ids=["no window", "window"])
def test_a_negative_slope_turns_the_values_round(tmp_path, photometric, window):
    rescaled = {"RescaleSlope": -1, "RescaleIntercept": 4095, "BitsStored": 12, "HighBit": 11}
    radiograph = _read(tmp_path / "a.dcm", TWELVE, PhotometricInterpretation=photometric, **rescaled, **window)
    shown = TWELVE if photometric == "MONOCHROME1" else 4095 - TWELVE
    np.testing.assert_allclose(radiograph.pixels, shown, atol=1)


def test_a_table_may_begin_below_zero_where_the_slope_is_negative(tmp_path):
    item = _table([4096, 2**16 - 4095, 12], np.arange(4095, -1, -1, dtype="<u2").tobytes())
    rescaled = {"RescaleSlope": -1, "RescaleIntercept": 0, "BitsStored": 12, "HighBit": 11}
    radiograph = _read(tmp_path / "a.dcm", TWELVE, VOILUTSequence=[item], **rescaled)
    np.testing.assert_array_equal(radiograph.pixels, TWELVE)


def _table(descriptor: list[int], data: bytes) -> Dataset:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = descriptor, data
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
    return item


@pytest.mark.parametrize("descriptor", [[256, 0, 12], [4096, 0, 12], [256, 0]], ids=str)
def test_a_table_that_does_not_fit_gives_way_to_the_window(tmp_path, descriptor):
    # One is made for other values, one is cut short, and one does not say how many bits its entries have.
    item = _table(descriptor, np.arange(256, dtype="<u2").tobytes())
    window = {"WindowCenter": 2048.5, "WindowWidth": 4096, "BitsStored": 12, "HighBit": 11}
    radiograph = _read(tmp_path / "a.dcm", TWELVE, VOILUTSequence=[item], **window)
    np.testing.assert_allclose(radiograph.pixels, TWELVE, atol=1)


def test_a_table_may_begin_below_zero(tmp_path):
    item = _table([4096, 2**16 - 1024, 12], np.arange(4096, dtype="<u2").tobytes())
    rescaled = {"RescaleSlope": 1, "RescaleIntercept": -1024, "BitsStored": 12, "HighBit": 11}
    radiograph = _read(tmp_path / "a.dcm", TWELVE, VOILUTSequence=[item], **rescaled)
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
        ({"PixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "unknown"),
        ({"PixelSpacing": [0.2, 0.1], "PixelSpacingCalibrationType": "GEOMETRY"}, (0.2, 0.1), "patient"),
        ({"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [40, 40]}, (0.2, 0.1), "unknown"),
        ({"PixelSpacing": [0, 0]}, None, "unknown"),
        ({"PixelSpacing": [-0.2, 0.1]}, None, "unknown"),
        ({"PixelSpacing": [400, 400]}, None, "unknown"),
        ({"PixelSpacing": None}, None, "unknown"),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "detector"),
        ({"NominalScannedPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "detector"),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "detector"),
        ({"PixelSpacing": [0.18, 0.09], "ImagerPixelSpacing": [0.2, 0.1]}, (0.18, 0.09), "patient"),
        ({"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "detector"),
        ({"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.2, 0.10000001]}, (0.2, 0.10000001), "detector"),
        ({"ImagerPixelSpacing": [0, 0], "NominalScannedPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "detector"),
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
    ("attributes", "code"),
    [
        ({"PixelData": None}, "no-picture"),
        ({"Rows": None}, "no-picture"),
        ({"NumberOfFrames": 2, "PixelData": GREY.tobytes() * 2}, "several-pictures"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4"}, "no-picture"),
        ({"Rows": 65535, "Columns": 65535}, "too-large"),
        ({"Rows": 4, "PixelData": GREY[:4].tobytes()}, "too-small"),
        ({"PixelData": GREY[:20].tobytes()}, "damaged"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "damaged"),
        ({"PhotometricInterpretation": "HSV"}, "colours-unsupported"),
    ],
    ids=str,
)
def test_a_file_without_one_picture_is_refused(tmp_path, attributes, code):
    write_dicom(tmp_path / "bad.dcm", GREY, **attributes)
    with fails(code) as caught:
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


def _jpeg_file(path: Path, change) -> Path:
    """Write GREY, eight times as large, as JPEG in DICOM, its data changed."""
    grey = np.kron(GREY, np.ones((8, 8), np.uint8))
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=98)
    dataset = write_dicom(path, grey)
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([change(buffer.getvalue())])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, write_like_original=False)
    return path


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_jpeg_of_twelve_bits(tmp_path, photometric):
    stated = {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": photometric}
    plain = _read(tmp_path / "a.dcm", TWELVE, **stated).pixels
    compress(tmp_path / "a.dcm", "JPEGExtendedProcess2_4")
    np.testing.assert_allclose(read_radiograph(tmp_path / "a.dcm").pixels, plain, atol=40)


@pytest.mark.skipif(int(pydicom.__version__.split(".")[0]) < 3, reason="pydicom 2 takes the first frame alone")
def test_frames_that_are_not_announced(tmp_path):
    write_dicom(tmp_path / "b.dcm", GREY, PixelData=GREY.tobytes() * 2)
    with fails("several-pictures"):
        read_radiograph(tmp_path / "b.dcm")
    frames: list[bytes] = []
    dataset = pydicom.dcmread(_jpeg_file(tmp_path / "a.dcm", lambda data: frames.append(data) or data))
    dataset.PixelData = encapsulate(2 * frames)
    dataset.save_as(tmp_path / "a.dcm")
    with fails("several-pictures"):
        read_radiograph(tmp_path / "a.dcm")


def test_zeros_after_the_end_of_compressed_data_are_no_damage(tmp_path):
    path = _jpeg_file(tmp_path / "a.dcm", lambda data: data + bytes(40))
    assert np.abs(read_radiograph(path).pixels[::8, ::8] - GREY).mean() < 2


@pytest.mark.parametrize("filling", [0, 1000])
@pytest.mark.safety("cut-short")
def test_an_end_after_half_the_data_is_damage(tmp_path, filling):
    path = _jpeg_file(tmp_path / "a.dcm", lambda data: data[: len(data) // 2] + bytes(filling) + b"\xff\xd9")
    with fails("damaged"):
        read_radiograph(path)


def _spoil(path: Path, damage: int) -> None:
    """Overwrite bytes of the compressed picture, such that its header still stands."""
    content = bytearray(path.read_bytes())
    random = np.random.default_rng(damage)
    start = content.rfind(b"\xff\xda") if b"\xff\xda" in content else len(content) // 2
    for at in random.integers(start, len(content) - 20, size=20):
        content[at] = random.integers(256)
    path.write_bytes(content)


@pytest.mark.parametrize("syntax", [name for name in COMPRESSED if name != "RLELossless"])
@pytest.mark.safety("decoder-crash")
def test_damaged_compressed_pixels_end_no_process(tmp_path, syntax):
    """GDCM aborts on some of these; whatever it does, the next file is read."""
    write_dicom(tmp_path / "good.dcm", GREY)
    compress(tmp_path / "good.dcm", syntax)
    expected = read_radiograph(tmp_path / "good.dcm").pixels
    for damage in range(8):
        bad = tmp_path / "bad.dcm"
        bad.write_bytes((tmp_path / "good.dcm").read_bytes())
        _spoil(bad, damage)
        with suppress(LungsegError):
            assert np.isfinite(read_radiograph(bad).pixels).all()
    np.testing.assert_array_equal(read_radiograph(tmp_path / "good.dcm").pixels, expected)


def _lossless(folder: Path) -> Path:
    write_dicom(folder / "a.dcm", GREY16)
    compress(folder / "a.dcm", "JPEGLosslessProcess14_1")
    return folder / "a.dcm"


@pytest.mark.safety("decoder-crash")
def test_a_decoder_that_crashes_or_hangs_is_told_and_replaced(tmp_path, monkeypatch):
    path = _lossless(tmp_path)
    monkeypatch.setattr(reader_process, "_SERVE", "import os; os.abort()")
    reader_process.stop_readers()
    with fails("damaged"):
        read_radiograph(path)
    monkeypatch.setattr(reader_process, "_SERVE", "import time; time.sleep(60)")
    monkeypatch.setattr(reader_process, "_SECONDS", 0.1)
    with fails("too-much-time"):
        read_radiograph(path)
    monkeypatch.undo()
    np.testing.assert_array_equal(read_radiograph(path).pixels, GREY16)


def test_threads_and_forked_processes_decode_apart(tmp_path):
    path = _lossless(tmp_path)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(read_radiograph(path).pixels)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        answers += [radiograph.pixels for radiograph in pool.map(read_radiograph, [path] * 4)]
        # Ended by themselves: a worker that has only just begun may miss being terminated, and is waited for in vain.
        pool.close()
        pool.join()
    assert len(answers) == 8
    for pixels in answers:
        np.testing.assert_array_equal(pixels, GREY16)


@pytest.mark.parametrize("stated", [None, 4, 400])
def test_a_deflated_file_may_state_no_length_or_a_wrong_one(tmp_path, stated):
    write_dicom(tmp_path / "a.dcm", GREY, syntax=DeflatedExplicitVRLittleEndian)
    content = (tmp_path / "a.dcm").read_bytes()
    # The element that states the length of the meta information.
    length = b"" if stated is None else content[132:140] + stated.to_bytes(4, "little")
    (tmp_path / "a.dcm").write_bytes(content[:132] + length + content[144:])
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.dcm").pixels, GREY)


def test_a_missing_decoder_is_told_with_its_remedy(tmp_path, monkeypatch):
    write_dicom(tmp_path / "a.dcm", GREY)
    compress(tmp_path / "a.dcm", "JPEGLosslessProcess14_1")

    def missing(dataset):
        raise RuntimeError("Unable to decompress because all plugins are missing dependencies:\n\tgdcm")

    monkeypatch.setattr("lungseg.io.dicom.decoding.decode_compressed", missing)
    with fails("decoder-missing") as caught:
        read_dicom(read_content(tmp_path / "a.dcm"))
    assert "pip install" not in caught.value.remedy
    monkeypatch.setitem(sys.modules, "gdcm", None)
    with fails("decoder-missing") as caught:
        read_dicom(read_content(tmp_path / "a.dcm"))
    assert 'pip install "lungseg[dicom]"' in caught.value.remedy


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
@needs_real_data
def test_real_chest_files(name, spacing):
    radiograph = read_radiograph(REAL / "dicom" / name)
    assert radiograph.pixels.shape == (1024, 1024)
    assert radiograph.spacing == spacing
    assert radiograph.pixels.std() > 30
