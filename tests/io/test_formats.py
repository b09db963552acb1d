# SPDX-License-Identifier: Apache-2.0
"""One phantom, asymmetric and not square, in every format: the shipped weights give the same label map."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from images_support import COMPRESSED, LOSSY, compress, write_dicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from tifffile import imwrite

import lungseg
from lungseg.data import phantom

GREY = phantom(3, (150, 180))[0]
DEEP = GREY.astype(np.uint16) * 257
TWELVE = GREY.astype(np.uint16) * 16
TWELVE_BITS = {"BitsStored": 12, "HighBit": 11}
COLOURS = np.stack([GREY] * 3, axis=-1)
INVERTED = 255 - GREY


def _pillow(name: str, picture: np.ndarray | Image.Image, **options):
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return name, lambda path: image.save(path, **options)


def _with_palette(indices: np.ndarray, palette: list[int]) -> Image.Image:
    image = Image.fromarray(indices).convert("L")
    image.putpalette([value for value in palette for _ in range(3)])
    return image


def _turned(orientation: int) -> tuple[np.ndarray, dict]:
    """Store the picture such that a viewer who obeys the tag shows it upright."""
    stored = {
        2: np.fliplr(GREY),
        3: np.rot90(GREY, 2),
        4: np.flipud(GREY),
        5: GREY.T,
        6: np.rot90(GREY),
        7: np.rot90(GREY, 2).T,
        8: np.rot90(GREY, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    return np.ascontiguousarray(stored), {"exif": exif}


RASTER = {
    "grey": _pillow("a.png", GREY),
    "grey of 16 bits": _pillow("a.png", DEEP),
    "12 bits in 16": _pillow("a.png", TWELVE),
    "grey and alpha": _pillow("a.png", Image.fromarray(GREY).convert("LA")),
    "palette": _pillow("a.png", _with_palette(GREY, list(range(256)))),
    "reversed palette": _pillow("a.png", _with_palette(INVERTED, list(range(255, -1, -1)))),
    "RGB": _pillow("a.png", COLOURS),
    "RGBA": _pillow("a.png", Image.fromarray(GREY).convert("RGBA")),
    **{f"orientation {turn}": _pillow("a.png", _turned(turn)[0], **_turned(turn)[1]) for turn in range(2, 9)},
    "JPEG": _pillow("a.jpg", GREY, quality=97),
    "JPEG in colour": _pillow("a.jpg", COLOURS, quality=97),
    "progressive JPEG": _pillow("a.jpg", GREY, quality=97, progressive=True),
    "LZW": _pillow("a.tif", GREY, compression="tiff_lzw"),
    "palette in a TIFF": _pillow("a.tif", _with_palette(INVERTED, list(range(255, -1, -1)))),
}
TIFF = {
    "TIFF of 8 bits": (GREY, {}),
    "TIFF of 16 bits": (DEEP, {}),
    "big-endian TIFF": (DEEP, {"byteorder": ">"}),
    "BigTIFF": (DEEP, {"bigtiff": True}),
    "tiled TIFF": (DEEP, {"tile": (64, 64)}),
    "signed TIFF": (DEEP.astype(np.int32) // 2 - 9000, {}),
    "signed TIFF of 16 bits": (TWELVE.astype(np.int16) - 2000, {}),
    "unsigned TIFF of 32 bits": (GREY.astype(np.uint32) << 24, {}),
    "TIFF of floats": (GREY.astype(np.float32) / 255, {}),
    "white is zero": (INVERTED, {"photometric": "miniswhite"}),
    "white is zero, 16 bits": (65535 - DEEP, {"photometric": "miniswhite"}),
    "white is zero, floats": (INVERTED.astype(np.float32), {"photometric": "miniswhite"}),
    "RGB TIFF": (COLOURS, {"photometric": "rgb"}),
    "RGB TIFF of 16 bits": (COLOURS.astype(np.uint16) * 257, {"photometric": "rgb"}),
}

# In array order (x, y): what ITK, MONAI, nibabel and those who know better write.
_X_Y = np.ascontiguousarray(GREY.T)
_CORONAL = np.array([[-0.2, 0, 0, 9], [0, 0, 1, 0], [0, -0.2, 0, 7], [0, 0, 0, 1]])
NIFTI = {
    "ITK's": (_X_Y, np.diag([-0.2, -0.2, 1, 1])),
    "ITK's, one slice": (_X_Y[:, :, None], np.diag([-0.2, -0.2, 1, 1])),
    "ITK's, more axes": (_X_Y[:, :, None, None], np.diag([-0.2, -0.2, 1, 1])),
    "MONAI's": (_X_Y, np.diag([0.2, 0.2, 1, 1])),
    "MONAI's of a DICOM file": (_X_Y, np.eye(4)[[1, 0, 2, 3]]),
    "nibabel's": (_X_Y, np.eye(4)),
    "no orientation": (_X_Y, None),
    "canonical": (_X_Y[::-1, ::-1], [[0.2, 0, 0, -30], [0, 0.2, 0, -36], [0, 0, 1, 0], [0, 0, 0, 1]]),
    "rows from below": (_X_Y[:, ::-1], np.diag([-0.2, 0.2, 1, 1])),
    "transposed": (GREY, np.diag([-0.2, -0.2, 1, 1])[[1, 0, 2, 3]]),
    "coronal": (_X_Y[:, :, None], _CORONAL),
    "coronal, in the middle axis": (_X_Y[:, None, :], _CORONAL[:, [0, 2, 1, 3]]),
    "16 bits": (_X_Y.astype(np.uint16) * 257, np.diag([-0.2, -0.2, 1, 1])),
    "floats": (_X_Y / 255, np.diag([-0.2, -0.2, 1, 1])),
    "colours as RGB": (
        np.stack([_X_Y] * 3, axis=-1).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0],
        np.diag([-0.2, -0.2, 1, 1]),
    ),
    "colours as ITK's vectors": (np.stack([_X_Y] * 3, axis=-1)[:, :, None, None], np.diag([-0.2, -0.2, 1, 1])),
}


def _palette_table(entries: np.ndarray) -> bytes:
    return entries.astype("<u2").tobytes()


def _palette_colour(**tables: np.ndarray) -> dict:
    attributes = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, entries in tables.items():
        attributes[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        attributes[f"{name}PaletteColorLookupTableData"] = _palette_table(entries)
    return attributes


_REVERSED_TABLE = np.arange(255, -1, -1) * 257
_MIRRORED_LUT = Dataset()
_MIRRORED_LUT.LUTDescriptor = [256, 0, 8]
_MIRRORED_LUT.LUTData = list(range(255, -1, -1))
_MIRRORED_LUT["LUTDescriptor"].VR = _MIRRORED_LUT["LUTData"].VR = "US"

DICOM = {
    "8 bits": (GREY, {}),
    "16 bits": (DEEP, {}),
    "12 bits in 16": (TWELVE, TWELVE_BITS),
    "12 bits with an overlay above": (TWELVE | 0x8000, TWELVE_BITS),
    "signed": (TWELVE.astype(np.int16) - 2000, {}),
    "MONOCHROME1": (INVERTED, {"PhotometricInterpretation": "MONOCHROME1"}),
    "presentation LUT": (INVERTED, {"PresentationLUTShape": "INVERSE"}),
    "VOI LUT": (INVERTED, {"VOILUTSequence": [_MIRRORED_LUT]}),
    "window": (TWELVE, {**TWELVE_BITS, "WindowCenter": 2048, "WindowWidth": 4096}),
    "window of the inverse": (
        4095 - TWELVE,
        {**TWELVE_BITS, "WindowCenter": 2048, "WindowWidth": 4096, "PhotometricInterpretation": "MONOCHROME1"},
    ),
    "rescaled": (TWELVE, {**TWELVE_BITS, "RescaleSlope": 2, "RescaleIntercept": -100}),
    "RGB": (COLOURS, {}),
    "RGB by planes": (np.stack([GREY] * 3).reshape(*GREY.shape, 3), {"PlanarConfiguration": 1}),
    "RGB of 16 bits": (COLOURS.astype(np.uint16) * 257, {}),
    "palette": (INVERTED, _palette_colour(Red=_REVERSED_TABLE, Green=_REVERSED_TABLE, Blue=_REVERSED_TABLE)),
    "implicit": (DEEP, {"syntax": ImplicitVRLittleEndian}),
    "big-endian": (DEEP, {"syntax": ExplicitVRBigEndian}),
    "deflated": (DEEP, {"syntax": DeflatedExplicitVRLittleEndian}),
}


@pytest.fixture(scope="module")
def segment():
    predictor = lungseg.load(device="cpu")
    return lambda path: predictor.predict(path).labels


@pytest.fixture(scope="module")
def expected(segment, tmp_path_factory) -> np.ndarray:
    path = tmp_path_factory.mktemp("reference") / "a.png"
    Image.fromarray(GREY).save(path)
    labels = segment(path)
    assert labels.shape == GREY.shape
    assert all((labels == label).mean() > 0.05 for label in (1, 2))
    return labels


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return min(2 * ((one == k) & (other == k)).sum() / ((one == k).sum() + (other == k).sum()) for k in (1, 2))


@pytest.mark.parametrize("kind", RASTER)
def test_png_and_jpeg(segment, expected, tmp_path, kind):
    name, write = RASTER[kind]
    write(tmp_path / name)
    labels = segment(tmp_path / name)
    if name.endswith(".jpg"):
        assert labels.shape == expected.shape
        assert _dice(labels, expected) > 0.99
    else:
        np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("kind", TIFF)
def test_tiff(segment, expected, tmp_path, kind):
    array, options = TIFF[kind]
    imwrite(tmp_path / "a.tif", array, **{"photometric": "minisblack", **options})
    np.testing.assert_array_equal(segment(tmp_path / "a.tif"), expected)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", NIFTI)
def test_nifti(segment, expected, tmp_path, kind, ending):
    array, affine = NIFTI[kind]
    form = nibabel.Nifti1Image if ending == ".nii.gz" else nibabel.Nifti2Image
    nibabel.save(form(array, affine), tmp_path / f"a{ending}")
    np.testing.assert_array_equal(segment(tmp_path / f"a{ending}"), expected)


@pytest.mark.parametrize("kind", DICOM)
def test_dicom(segment, expected, tmp_path, kind):
    pixels, attributes = DICOM[kind]
    write_dicom(tmp_path / "IM000001", pixels, **attributes)
    np.testing.assert_array_equal(segment(tmp_path / "IM000001"), expected)


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_dicom_without_preamble_and_meta_information(segment, expected, tmp_path, syntax):
    write_dicom(tmp_path / "a", DEEP, **({"syntax": syntax} if syntax else {}))
    content = (tmp_path / "a").read_bytes()
    # The group of the meta information says how long it is; cut off everything up to its end, or the preamble alone.
    end = 144 + int.from_bytes(content[140:144], "little")
    (tmp_path / "bare").write_bytes(content[end:])
    np.testing.assert_array_equal(segment(tmp_path / "bare"), expected)
    (tmp_path / "no-preamble").write_bytes(content[132:])
    np.testing.assert_array_equal(segment(tmp_path / "no-preamble"), expected)


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_compressed_dicom(segment, expected, tmp_path, syntax):
    bits = COMPRESSED[syntax]
    write_dicom(tmp_path / "a.dcm", GREY if bits == 8 else DEEP)
    compress(tmp_path / "a.dcm", syntax)
    labels = segment(tmp_path / "a.dcm")
    if syntax in LOSSY:
        assert labels.shape == expected.shape
        assert _dice(labels, expected) > 0.99
    else:
        np.testing.assert_array_equal(labels, expected)
