# SPDX-License-Identifier: Apache-2.0
"""BMP, GIF, WebP, JPEG 2000 and gzipped files are decoded to the values that they hold."""

from __future__ import annotations

import bz2
import gzip
import hashlib

import numpy as np
import pytest
from errors_support import fails
from images_support import GREY, GREY16, compress, only_frame, write_dicom
from PIL import Image
from pydicom.uid import MediaStorageDirectoryStorage

from lungseg.inference.inputs import radiograph_of
from lungseg.io import read_radiograph
from lungseg.io.reading import read_mask_values, read_source

COLOURS = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)
LUMA = np.asarray(Image.fromarray(COLOURS).convert("L"))
ALPHA = np.where(np.arange(GREY.shape[1]) < 20, 0, 255).astype(np.uint8)


def _save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return read_radiograph(path).pixels


@pytest.mark.parametrize("name", ["a.bmp", "a.gif", "a.webp", "a.jp2", "a.j2k"])
def test_grey_values_are_those_of_the_file(tmp_path, name):
    options = {"lossless": True} if name == "a.webp" else {"no_jp2": True} if name == "a.j2k" else {}
    np.testing.assert_array_equal(_save(tmp_path / name, GREY, **options), GREY)


@pytest.mark.parametrize("name", ["a.bmp", "a.webp", "a.jp2"])
def test_colours_become_their_brightness(tmp_path, name):
    options = {"lossless": True} if name == "a.webp" else {}
    np.testing.assert_array_equal(_save(tmp_path / name, COLOURS, **options), LUMA)


@pytest.mark.parametrize("name", ["a.webp", "a.jp2"])
def test_transparent_pixels_are_black(tmp_path, name):
    options = {"lossless": True, "exact": True} if name == "a.webp" else {}
    array = np.dstack([np.stack([GREY] * 3, axis=-1), np.broadcast_to(ALPHA, GREY.shape)])
    np.testing.assert_array_equal(_save(tmp_path / name, array, **options), np.where(ALPHA > 0, GREY, 0))


def test_other_kinds_of_bmp_and_gif(tmp_path):
    black_and_white = Image.fromarray(GREY > 90)
    for name in ("a.bmp", "a.gif"):
        black_and_white.save(tmp_path / name)
        np.testing.assert_array_equal(read_radiograph(tmp_path / name).pixels, 255 * (GREY > 90))
    upside_down = (tmp_path / "a.bmp").read_bytes()
    # A negative height: the rows begin at the top.
    height = int.from_bytes(upside_down[22:26], "little")
    (tmp_path / "b.bmp").write_bytes(upside_down[:22] + (-height).to_bytes(4, "little", signed=True) + upside_down[26:])
    np.testing.assert_array_equal(read_radiograph(tmp_path / "b.bmp").pixels, 255 * (GREY > 90)[::-1])
    Image.fromarray(np.dstack([COLOURS, np.zeros_like(GREY)])).save(tmp_path / "c.bmp")
    np.testing.assert_array_equal(read_radiograph(tmp_path / "c.bmp").pixels, LUMA)


def test_a_webp_of_a_camera_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = _save(tmp_path / "a.webp", np.ascontiguousarray(np.rot90(GREY)), lossless=True, exif=exif.tobytes())
    np.testing.assert_array_equal(pixels, GREY)


@pytest.mark.parametrize(("bits", "signed"), [(16, False), (12, False), (10, False), (16, True), (12, True)])
@pytest.mark.parametrize("boxed", [False, True])
def test_deep_jpeg_2000_has_the_values_of_the_file(tmp_path, bits, signed, boxed):
    values = (GREY16 >> (16 - bits)).astype(np.int32) - signed * 2 ** (bits - 1)
    array = values.astype(np.int16 if signed else np.uint16)
    write_dicom(tmp_path / "a.dcm", array, BitsStored=bits, HighBit=bits - 1)
    compress(tmp_path / "a.dcm", "JPEG2000Lossless")
    codestream = only_frame(tmp_path / "a.dcm")
    if boxed:
        Image.fromarray(GREY16).save(tmp_path / "a.jp2")
        file = (tmp_path / "a.jp2").read_bytes()
        at = file.index(b"jp2c")
        # The length 0: up to the end of the file.
        codestream = file[: at - 4] + bytes(4) + b"jp2c" + codestream
    (tmp_path / "a.jp2").write_bytes(codestream)
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.jp2").pixels, values)


@pytest.mark.parametrize("ending", ["png", "tif", "jp2", "bmp"])
def test_a_gzipped_picture_is_read(tmp_path, ending):
    Image.fromarray(GREY).save(tmp_path / f"a.{ending}")
    packed = gzip.compress((tmp_path / f"a.{ending}").read_bytes())
    (tmp_path / f"a.{ending}.gz").write_bytes(packed)
    radiograph = read_radiograph(tmp_path / f"a.{ending}.gz")
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert radiograph.source.sha256 == hashlib.sha256(packed).hexdigest()
    np.testing.assert_array_equal(read_mask_values(tmp_path / f"a.{ending}.gz"), GREY)


def test_a_gzipped_dicom_file_keeps_its_header_and_has_the_hash_of_the_packed_file(tmp_path):
    write_dicom(tmp_path / "a.dcm", GREY16, PixelSpacing=[0.2, 0.1], ViewPosition="PA")
    content = (tmp_path / "a.dcm").read_bytes()
    # Several members, as tools that pack in parallel write them.
    packed = gzip.compress(content[:3000]) + gzip.compress(content[3000:])
    (tmp_path / "a").write_bytes(packed)
    radiograph, plain = read_radiograph(tmp_path / "a"), read_radiograph(tmp_path / "a.dcm")
    np.testing.assert_array_equal(radiograph.pixels, GREY16)
    assert radiograph.source.header == plain.source.header == read_source(tmp_path / "a").header
    assert (radiograph.spacing, radiograph.view, radiograph.source.format) == ((0.2, 0.1), "frontal", "dicom")
    assert radiograph.source.sha256 == hashlib.sha256(packed).hexdigest() == read_source(tmp_path / "a").sha256


def test_bzip2_is_refused_with_the_command_that_unpacks_it(tmp_path):
    (tmp_path / "a.dcm.bz2").write_bytes(bz2.compress(bytes(9000)))
    with fails("archive") as caught:
        read_radiograph(tmp_path / "a.dcm.bz2")
    assert "bunzip2 -k" in caught.value.remedy


def test_a_remedy_names_files_as_the_user_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my study").write_bytes(b"PK\x03\x04" + bytes(99))
    with fails("archive") as caught:
        read_radiograph("my study")
    command = "unzip 'my study' -d 'my study-unpacked', then lungseg predict 'my study-unpacked'"
    assert caught.value.remedy == f"unpack it: {command}"
    with open("my study", "rb") as file, fails("archive") as caught:
        radiograph_of(file)
    assert "/" not in caught.value.remedy
    write_dicom("DICOMDIR", GREY, SOPClassUID=MediaStorageDirectoryStorage, PixelData=None)
    with fails("dicom-directory") as caught:
        read_radiograph("DICOMDIR")
    assert caught.value.remedy.endswith("lungseg predict .")
