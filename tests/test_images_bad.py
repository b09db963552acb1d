# SPDX-License-Identifier: Apache-2.0
"""Each bad file is named with its reason, through the function and through MONAI."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from images_support import GREY, GREY16, write_dicom
from monai.transforms import LoadImage
from PIL import Image

from lungseg.errors import LungsegError
from lungseg.images import RadiographReader, read_radiograph


def _encoded(kind: str, array=GREY, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _bomb(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(10_000_000))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _pages(kind: str) -> bytes:
    return _encoded(kind, save_all=True, append_images=[Image.fromarray(255 - GREY)])


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


PNG, JPEG, TIFF = _encoded("PNG"), _encoded("JPEG"), _encoded("TIFF")
LZW = _encoded("TIFF", compression="tiff_lzw")

BAD = {
    "empty.png": (b"", "empty"),
    "text.png": (b"this is a text file\n", "not a picture in a known format"),
    "table.dcm": (b"file,label\n" * 100, "not a picture in a known format"),
    "animation.gif": (_encoded("GIF"), "not a picture in a known format"),
    "signature.png": (PNG[:8], "damaged"),
    "header.png": (PNG[:20], "damaged"),
    "half.png": (PNG[: len(PNG) // 2], "damaged"),
    "no-end.png": (PNG[:-12], "damaged"),
    "flipped.png": (_flipped(PNG, len(PNG) // 2), "damaged"),
    "half.jpg": (JPEG[: len(JPEG) // 2], "damaged"),
    "header.jpg": (JPEG[:10], "damaged"),
    "half.tif": (TIFF[: len(TIFF) // 2], "damaged"),
    "half-lzw.tif": (LZW[: len(LZW) // 2], "damaged"),
    "header.tif": (TIFF[:8], "damaged"),
    "two.tif": (_pages("TIFF"), "2 pictures"),
    "two.png": (_pages("PNG"), "2 pictures"),
    "nan.tif": (_encoded("TIFF", np.where(GREY > 9, GREY, np.nan).astype(np.float32)), "finite"),
    "small.png": (_encoded("PNG", GREY[:15]), "too small"),
    "large.png": (_bomb(9_000, 9_000), "too large"),
    "huge.png": (_bomb(60_000, 60_000), "too large"),
    "preamble.dcm": (bytes(128) + b"DICM", "holds no picture|damaged"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("through", ["function", "MONAI"])
def test_a_bad_file_is_named_with_its_reason(tmp_path, name, through):
    content, reason = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    _expect_refusal(path, reason, through)


@pytest.mark.parametrize("through", ["function", "MONAI"])
def test_what_is_no_readable_file_is_refused(tmp_path, through):
    _expect_refusal(tmp_path / "missing.png", "no such file", through)
    _expect_refusal(tmp_path, "folder", through)
    os.mkfifo(tmp_path / "pipe.png")
    _expect_refusal(tmp_path / "pipe.png", "not a regular file", through)
    (tmp_path / "loop.png").symlink_to("loop.png")
    _expect_refusal(tmp_path / "loop.png", "cannot be read", through)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_forbidden_file_is_refused(tmp_path):
    (tmp_path / "secret.png").write_bytes(PNG)
    (tmp_path / "secret.png").chmod(0)
    _expect_refusal(tmp_path / "secret.png", "may not be read", "function")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "LZW", "DICOM"])
def test_no_truncation_passes_for_a_picture(tmp_path, kind):
    path = tmp_path / "cut"
    if kind == "DICOM":
        write_dicom(path, GREY16)
        whole = path.read_bytes()
    else:
        whole = {"PNG": PNG, "JPEG": JPEG, "TIFF": TIFF, "LZW": LZW}[kind]
    path.write_bytes(whole)
    expected = read_radiograph(path).pixels
    for length in range(1, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:length])
        try:
            pixels = read_radiograph(path).pixels
        except LungsegError:
            continue
        # What was cut off held no pixels.
        np.testing.assert_array_equal(pixels, expected)


def _expect_refusal(path, reason, through):
    read = read_radiograph if through == "function" else LoadImage(reader=RadiographReader())
    with pytest.raises(LungsegError, match=reason) as caught:
        read(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
