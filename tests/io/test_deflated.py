# SPDX-License-Identifier: Apache-2.0
"""Deflated DICOM files: the size check ends with the compressed data, whatever follows them."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from images_support import GREY16, write_dicom
from pydicom.uid import DeflatedExplicitVRLittleEndian

from lungseg.io import read_radiograph

# More than the 16 MiB that the size check inflates at a time.
SIDE = 3000
_READ = """
import sys
from lungseg.io import read_radiograph
print(read_radiograph(sys.argv[1]).pixels.sum(dtype=float))
"""


def read_with_a_watchdog(path: Path) -> float:
    """Return the sum of the pixels that another process reads, so that a reader that never ends fails the test."""
    done = subprocess.run([sys.executable, "-c", _READ, path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def split_deflated(content: bytes) -> tuple[bytes, bytes]:
    """Return the meta information and the compressed data set of a file, without the bytes after it."""
    end = 144 + int.from_bytes(content[140:144], "little")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflater.decompress(content[end:])
    assert inflater.eof
    return content[:end], content[end : len(content) - len(inflater.unused_data)]


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> tuple[bytes, bytes, float]:
    """The two parts of a deflated radiograph that inflates to 18 MB, and the sum of its pixels."""
    path = tmp_path_factory.mktemp("large") / "large.dcm"
    pixels = np.resize(GREY16, (SIDE, SIDE))
    write_dicom(path, pixels, syntax=DeflatedExplicitVRLittleEndian)
    return *split_deflated(path.read_bytes()), float(pixels.sum())


@pytest.mark.parametrize("tail", [b"", b"\0", bytes(1000), b"rubbish"], ids=["nothing", "NUL", "zeros", "rubbish"])
@pytest.mark.safety("claimed-size")
def test_the_check_ends_with_the_compressed_data(large, tmp_path, tail):
    meta, deflated, total = large
    (tmp_path / "a.dcm").write_bytes(meta + deflated + tail)
    assert read_with_a_watchdog(tmp_path / "a.dcm") == total


def test_a_file_of_odd_length_has_a_padding_byte(tmp_path):
    """Pydicom pads compressed data of odd length with NUL (DICOM PS3.5, A.5), as the test above does."""
    for width in range(40, 80):
        write_dicom(tmp_path / "a.dcm", GREY16[:, :width], syntax=DeflatedExplicitVRLittleEndian)
        content = (tmp_path / "a.dcm").read_bytes()
        if content != b"".join(split_deflated(content)):
            assert content == b"".join(split_deflated(content)) + b"\0"
            break
    else:
        pytest.fail("no file was padded")
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.dcm").pixels, GREY16[:, :width])
