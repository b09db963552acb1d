# SPDX-License-Identifier: Apache-2.0
"""Whatever happens to the bytes of a valid file, reading it gives finite pixels or a sentence, soon and in bounds."""

from __future__ import annotations

import gzip
import io
import sys
import time
import unicodedata
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from images_support import COMPRESSED, GREY, GREY16, compress, write_dicom
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from lungseg.io import read_radiograph
from lungseg.io.limits import MAX_PIXELS
from lungseg.utils.errors import LungsegError

# These are decoded in a process that damage may end; a new one takes half a second.
FRAGILE = [name for name in COMPRESSED if name.startswith("JPEGLosslessProcess")]
# Of processor time; the process that decodes has a limit of its own.
SECONDS = 20


def _pillow(kind: str, array: np.ndarray = GREY, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def _nifti(array: np.ndarray) -> bytes:
    return nibabel.Nifti1Image(array, np.diag([-0.2, -0.2, 1, 1])).to_bytes()


PICTURES = {
    "PNG": _pillow("PNG"),
    "deep PNG": _pillow("PNG", GREY16),
    "JPEG": _pillow("JPEG"),
    "TIFF": _pillow("TIFF", GREY16),
    "LZW": _pillow("TIFF", compression="tiff_lzw"),
    "float TIFF": _pillow("TIFF", GREY.astype(np.float32)),
    "BMP": _pillow("BMP"),
    "GIF": _pillow("GIF"),
    "WebP": _pillow("WEBP"),
    "lossless WebP": _pillow("WEBP", lossless=True),
    "JPEG 2000": _pillow("JPEG2000", GREY16),
    "bare JPEG 2000": _pillow("JPEG2000", no_jp2=True),
    "gzipped PNG": gzip.compress(_pillow("PNG"), mtime=0),
    "NIfTI": _nifti(GREY16.T),
    "gzipped NIfTI": gzip.compress(_nifti(GREY.T), mtime=0),
}
SYNTAXES = {
    "explicit": {},
    "implicit": {"syntax": ImplicitVRLittleEndian},
    "big-endian": {"syntax": ExplicitVRBigEndian},
    "deflated": {"syntax": DeflatedExplicitVRLittleEndian},
}
SHUTTERS = {
    "ShutterShape": ["RECTANGULAR", "CIRCULAR", "POLYGONAL"],
    **{f"Shutter{edge}": at for edge, at in (("LeftVerticalEdge", 5), ("RightVerticalEdge", 60))},
    **{f"Shutter{edge}": at for edge, at in (("UpperHorizontalEdge", 3), ("LowerHorizontalEdge", 40))},
    **{"CenterOfCircularShutter": [24, 35], "RadiusOfCircularShutter": 30},
    "VerticesOfThePolygonalShutter": [1, 35, 40, 5, 40, 65],
}
KINDS = [*PICTURES, *SYNTAXES, "bare", "shuttered", "gzipped", *COMPRESSED]


@pytest.fixture(scope="module")
def valid(tmp_path_factory) -> dict[str, bytes]:
    """A valid file of each kind, with what a radiograph's header has."""
    path = tmp_path_factory.mktemp("valid") / "a.dcm"
    contents = dict(PICTURES)
    attributes = {"PixelSpacing": [0.2, 0.1], "WindowCenter": 30000, "WindowWidth": 60000, "ViewPosition": "PA"}
    attributes |= {"RescaleSlope": 1.5, "RescaleIntercept": -10, "PixelPaddingValue": 0}
    for name, options in SYNTAXES.items():
        write_dicom(path, GREY16, **options, **attributes)
        contents[name] = path.read_bytes()
    contents["bare"] = contents["explicit"][132:]
    contents["gzipped"] = gzip.compress(contents["explicit"], mtime=0)
    write_dicom(path, GREY16, **attributes, **SHUTTERS)
    contents["shuttered"] = path.read_bytes()
    for name, bits in COMPRESSED.items():
        write_dicom(path, GREY if bits == 8 else GREY16, **attributes)
        compress(path, name)
        contents[name] = path.read_bytes()
    for name, content in contents.items():
        path.write_bytes(content)
        assert read_radiograph(path).pixels.shape == GREY.shape, name
    return contents


# Places are fractions of the file; headers, which lie at its beginning, deserve half of the attention.
_PLACES = st.one_of(st.floats(0, 0.999), st.floats(0, 0.999).map(lambda x: x**4))
_BYTES = st.one_of(st.binary(min_size=1, max_size=4), st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"]))
_CHANGES = st.lists(st.tuples(st.sampled_from(["set", "insert", "delete"]), _PLACES, _BYTES), min_size=1, max_size=4)


def _mutated(content: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    for what, place, new in changes:
        at = int(place * len(content))
        after = at if what == "insert" else at + len(new)
        content = content[:at] + (b"" if what == "delete" else new) + content[after:]
    return content


def _read_or_refuse(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    began = time.process_time()
    try:
        radiograph = read_radiograph(path)
    except LungsegError as error:
        sentence, code = str(error), error.code
        assert code != "too-much-time", sentence
        assert sentence.startswith(f"{path}: "), sentence
        assert sentence.endswith("."), sentence
        assert not any(unicodedata.category(letter) == "Cc" for letter in sentence), sentence
    else:
        assert radiograph.pixels.ndim == 2
        assert radiograph.pixels.dtype == np.float32
        assert radiograph.pixels.size <= MAX_PIXELS
        assert np.isfinite(radiograph.pixels).all()
        assert radiograph.spacing is None or all(0.01 <= mm <= 5 for mm in radiograph.spacing)
    assert time.process_time() - began < SECONDS


def _peak_megabytes() -> float:
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.safety("mutated-file")
def test_mutated_files_are_read_or_refused(valid, tmp_path, kind):
    before = _peak_megabytes()

    @settings(
        max_examples=15 if kind in FRAGILE else 120,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(_CHANGES)
    @example([("set", 0.0, b"\0")])
    def check(changes):
        _read_or_refuse(tmp_path / "mutated", _mutated(valid[kind], changes))

    check()
    # The largest film that is read takes several times its 80 million pixels.
    assert _peak_megabytes() - before < 2500


@settings(max_examples=300, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(
        [
            *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0+", b"\x1f\x8b", bytes(128) + b"DICM", b""),
            *(b"GIF89a", b"RIFF....WEBPVP8 ", b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51", b"BM\0\0"),
        ]
    ),
    st.binary(max_size=400),
)
@pytest.mark.safety("mutated-file")
def test_noise_after_any_signature_is_refused(tmp_path_factory, signature, noise):
    path = tmp_path_factory.getbasetemp() / "noise"
    path.write_bytes(signature + noise)
    with pytest.raises(LungsegError):
        read_radiograph(path)
