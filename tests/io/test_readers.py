# SPDX-License-Identifier: Apache-2.0
"""Every reader: the same picture gives the same array, and every bad file gives an error with a code."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from errors_support import fails
from images_support import COMPRESSED, GREY, GREY16, LOSSY, compress, write_dicom
from PIL import Image

from lungseg.io import read_radiograph
from lungseg.utils.errors import LungsegError

# More than 80 million pixels, and less than 16 on a side.
TOO_LARGE, TOO_SMALL = (9001, 9000), (70, 15)


def with_pillow(picture: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


def read_or_error(path: Path) -> np.ndarray | LungsegError:
    try:
        return read_radiograph(path).pixels
    except LungsegError as error:
        return error


class ReaderTests:
    """The tests that every reader passes.

    A subclass encodes a picture, and changes the size that the header of an encoded file states. `exact` is False for
    lossy formats.
    """

    picture = GREY
    exact = True
    spacing: tuple[tuple[float, float] | None, str] = (None, "unknown")

    def encode(self, folder: Path) -> bytes:
        """Return the bytes of a file that shows `self.picture`."""
        raise NotImplementedError

    def claim(self, content: bytes, width: int, height: int) -> bytes:
        """Return the file with another size in its header."""
        raise NotImplementedError

    @pytest.fixture
    def content(self, tmp_path) -> bytes:
        return self.encode(tmp_path)

    @pytest.fixture
    def path(self, tmp_path) -> Path:
        return tmp_path / "a file"

    def refused(self, path: Path, code: str) -> None:
        """Expect an error that names the file and has a remedy."""
        with fails(code) as caught:
            read_radiograph(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert caught.value.remedy

    def test_shape_orientation_and_values(self, path, content):
        path.write_bytes(content)
        radiograph = read_radiograph(path)
        assert radiograph.pixels.dtype == np.float32
        assert radiograph.pixels.flags.c_contiguous
        assert radiograph.pixels.shape == self.picture.shape
        if self.exact:
            np.testing.assert_array_equal(radiograph.pixels, self.picture)
        else:
            assert np.corrcoef(radiograph.pixels.ravel(), self.picture.ravel())[0, 1] > 0.99
        assert (radiograph.spacing, radiograph.spacing_kind) == self.spacing
        assert (radiograph.view, radiograph.flipped) == (None, False)

    def test_the_content_decides_not_the_name(self, tmp_path, content):
        for name in ("a.png", "a.dcm", "a.nii.gz", "a.txt"):
            (tmp_path / name).write_bytes(content)
            assert read_radiograph(tmp_path / name).pixels.shape == self.picture.shape

    @pytest.mark.safety("cut-short")
    def test_a_truncated_file_is_refused(self, path, content):
        path.write_bytes(content)
        expected = read_radiograph(path).pixels
        for length in range(1, len(content), max(1, len(content) // 60)):
            path.write_bytes(content[:length])
            outcome = read_or_error(path)
            if isinstance(outcome, LungsegError):
                assert outcome.code in {"damaged", "no-picture", "unknown-format"}
                assert str(outcome).startswith(f"{path}: ")
            else:  # the bytes that were cut off held no pixels
                np.testing.assert_array_equal(outcome, expected)

    def test_an_empty_file(self, path):
        path.write_bytes(b"")
        self.refused(path, "empty-file")

    def test_a_missing_file(self, path):
        self.refused(path, "not-found")

    def test_a_folder_in_the_place_of_a_file(self, path):
        path.mkdir()
        self.refused(path, "is-folder")

    @pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
    def test_a_forbidden_file(self, path, content):
        path.write_bytes(content)
        path.chmod(0)
        self.refused(path, "not-permitted")

    @pytest.mark.safety("claimed-size")
    def test_a_picture_that_claims_to_be_too_large(self, path, content):
        path.write_bytes(self.claim(content, *TOO_LARGE))
        self.refused(path, "too-large")

    def test_a_picture_that_is_too_small(self, path, content):
        path.write_bytes(self.claim(content, *TOO_SMALL))
        self.refused(path, "too-small")

    @pytest.mark.safety("claimed-size")
    def test_a_file_that_is_too_large(self, path, content):
        path.write_bytes(content)
        os.truncate(path, 2_000_000_000)
        self.refused(path, "too-large")


class TestPng(ReaderTests):
    def encode(self, folder):
        return with_pillow(self.picture, "PNG")

    def claim(self, content, width, height):
        header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
        return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


class TestDeepPng(TestPng):
    picture = GREY16


class TestJpeg(ReaderTests):
    exact = False

    def encode(self, folder):
        return with_pillow(self.picture, "JPEG", quality=95)

    def claim(self, content, width, height):
        at = content.index(b"\xff\xc0") + 5
        return content[:at] + struct.pack(">HH", height, width) + content[at + 4 :]


class TestTiff(ReaderTests):
    picture = GREY16

    def encode(self, folder):
        return with_pillow(self.picture, "TIFF", compression="tiff_lzw")

    def claim(self, content, width, height):
        changed = bytearray(content)
        start = struct.unpack_from("<I", content, 4)[0] + 2
        for entry in range(start, start + 12 * struct.unpack_from("<H", content, start - 2)[0], 12):
            tag, kind = struct.unpack_from("<HH", content, entry)
            if tag in (256, 257):
                struct.pack_into("<H" if kind == 3 else "<I", changed, entry + 8, width if tag == 256 else height)
        return bytes(changed)


class TestNifti(ReaderTests):
    picture = GREY16

    def encode(self, folder):
        return nibabel.Nifti1Image(self.picture.T, np.eye(4)).to_bytes()

    def claim(self, content, width, height):
        return content[:40] + struct.pack("<3h", 2, width, height) + content[46:]


class TestGzippedNifti(TestNifti):
    def encode(self, folder):
        return gzip.compress(super().encode(folder), mtime=0)

    def claim(self, content, width, height):
        return gzip.compress(super().claim(gzip.decompress(content), width, height))


class TestDicom(ReaderTests):
    picture = GREY16

    def encode(self, folder):
        write_dicom(folder / "source.dcm", self.picture)
        return (folder / "source.dcm").read_bytes()

    def claim(self, content, width, height):
        for group, old, new in ((b"\x10\0", self.picture.shape[0], height), (b"\x11\0", self.picture.shape[1], width)):
            element = b"\x28\0" + group + b"US" + struct.pack("<H", 2)
            assert content.count(element + struct.pack("<H", old)) == 1
            content = content.replace(element + struct.pack("<H", old), element + struct.pack("<H", new))
        return content


class TestCompressedDicom(TestDicom):
    # GDCM writes this spacing if there is none.
    spacing = ((1.0, 1.0), "detector")

    @pytest.fixture(autouse=True, params=COMPRESSED)
    def syntax(self, request):
        self.picture = GREY if COMPRESSED[request.param] == 8 else GREY16
        self.exact = request.param not in LOSSY
        return request.param

    @pytest.fixture
    def content(self, tmp_path, syntax):
        write_dicom(tmp_path / "source.dcm", self.picture)
        compress(tmp_path / "source.dcm", syntax)
        return (tmp_path / "source.dcm").read_bytes()
