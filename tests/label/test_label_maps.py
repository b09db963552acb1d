# SPDX-License-Identifier: Apache-2.0
"""Label maps are read in bounded memory, from the file itself and no other, in the orientation of their study."""

from __future__ import annotations

import gzip
import tracemalloc

import nibabel
import numpy as np
import pytest
from errors_support import fails
from hypothesis import given
from hypothesis import strategies as st

from lungseg.data import phantom
from lungseg.io import write_png
from lungseg.utils.errors import LungsegError
from lungseg.workflows.label.store.label_maps import decode
from lungseg.workflows.label.store.nrrd import read_nrrd

# Width and height.
SIZE = (96, 72)
LABELS = phantom((5, 1), SIZE)[1]
HEADER = {
    "type": "unsigned char",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "96 72 1",
    "space directions": "(0.5,0,0) (0,0.5,0) (0,0,1)",
    "kinds": "domain domain domain",
    "encoding": "raw",
    "space origin": "(0,0,0)",
}


def nrrd(content: bytes = LABELS.tobytes(), **changes: str | None) -> bytes:
    """Return a file with changes of its header; None leaves a field out."""
    fields = HEADER | {name.replace("_", " "): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\n".join(("NRRD0004", "# a comment", *lines, "Segment0_Name:=right: lung", "", "")).encode() + content


@pytest.fixture
def study(tmp_path):
    write_png(tmp_path / "study.png", phantom((5, 1), SIZE)[0])
    return tmp_path / "study.png"


@pytest.fixture
def read(tmp_path, study):
    """Read the bytes of a label map of the study."""

    def call(content: bytes) -> np.ndarray:
        (tmp_path / "label").write_bytes(content)
        return decode(tmp_path / "label", study)

    return call


@pytest.mark.parametrize(
    "content",
    [
        nrrd(),
        nrrd(gzip.compress(LABELS.tobytes()), encoding="gzip"),
        nrrd(LABELS.astype(">i2").tobytes(), type="short", endian="big"),
        nrrd(LABELS.astype("<f4").tobytes(), type="float", endian="little"),
        nrrd(dimension="2", sizes="96 72", space=None, space_directions=None, space_origin=None, spacings="0.5 nan"),
        nrrd(LABELS[:, ::-1].tobytes(), space="right-anterior-superior", space_directions="(.5,0,0) (0,-.5,0) (0,0,1)"),
        nrrd(LABELS.T.tobytes(), sizes="72 96 1", space_directions="(0,0.5,0) (0.5,0,0) (0,0,1)"),
        nrrd(LABELS[::-1].tobytes(), sizes="96 1 72", space_directions="(0.5,0,0) (0,1,0) (0,0,0.5)"),
    ],
    ids=["raw", "gzip", "big endian", "float", "plane", "mirrored", "turned", "coronal"],
)
def test_a_label_map_is_read_in_the_orientation_of_its_study(read, content):
    np.testing.assert_array_equal(read(content), LABELS)


@pytest.mark.safety("files-of-the-server")
@pytest.mark.parametrize("field", ["data_file", "datafile", "Data_File"])
def test_other_files_are_not_opened(read, tmp_path, field):
    (tmp_path / "secret").write_bytes(LABELS.tobytes())
    for named in (tmp_path / "secret", "secret", "LIST 1", "secret%d 1 1 1", "/dev/zero", "/etc/passwd"):
        with fails("nrrd-detached"):
            read(nrrd(b"", **{field: str(named)}))


@pytest.mark.safety("bounded-labels")
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (nrrd(sizes="96 72 2"), "label-map-size"),
        (nrrd(sizes="72 96 1"), "label-map-size"),
        (nrrd(sizes="60000 60000 1"), "nrrd-unsupported"),
        (nrrd(sizes="-96 -72 1"), "nrrd-unsupported"),
        (nrrd(sizes="96 72"), "nrrd-unsupported"),
        (nrrd(sizes="x 72 1"), "nrrd-damaged"),
        (nrrd(sizes=f"96 72 1{'0' * 4990}"), "nrrd-damaged"),
        (nrrd(dimension="4", sizes="96 72 1 1"), "nrrd-unsupported"),
        (nrrd(type="block"), "nrrd-unsupported"),
        (nrrd(type=None), "nrrd-unsupported"),
        (nrrd(encoding="hex"), "nrrd-unsupported"),
        (nrrd(encoding="bzip2"), "nrrd-unsupported"),
        (nrrd(encoding="gzip"), "nrrd-damaged"),
        (nrrd(byte_skip="-1"), "nrrd-unsupported"),
        (nrrd(line_skip="5"), "nrrd-unsupported"),
        (nrrd(endian="middle"), "nrrd-damaged"),
        (nrrd(LABELS.tobytes()[:-1]), "nrrd-damaged"),
        (nrrd(LABELS.tobytes() + b"x"), "nrrd-damaged"),
        (nrrd(gzip.compress(LABELS.tobytes())[:-9], encoding="gzip"), "nrrd-damaged"),
        (nrrd(gzip.compress(LABELS.tobytes() + b"x"), encoding="gzip"), "nrrd-damaged"),
        (nrrd(space_directions="(0,0,0) (0,0.5,0) (0,0,1)"), "nrrd-damaged"),
        (nrrd(space_directions="(nan,0,0) (0,0.5,0) (0,0,1)"), "nrrd-damaged"),
        (nrrd(space_directions="(1,0,0)"), "nrrd-damaged"),
        (nrrd(space="elsewhere"), "nrrd-unsupported"),
        (nrrd().replace(b"encoding: raw", b"encoding: raw\nencoding: gzip"), "nrrd-damaged"),
        (nrrd((LABELS + 7).tobytes()), "label-map-values"),
        (nrrd((LABELS + np.float32(0.5)).tobytes(), type="float"), "label-map-values"),
        (b"NRRD0004\n" + b"#" * 2**20, "nrrd-damaged"),
        (b"NRRD", "nrrd-damaged"),
    ],
)
def test_a_wrong_file_is_refused(read, content, code):
    with fails(code):
        read(content)


@pytest.mark.safety("bounded-labels")
def test_no_more_is_unpacked_than_the_study_has_pixels(tmp_path):
    file = tmp_path / "label.nrrd"
    file.write_bytes(nrrd(gzip.compress(bytes(200_000_000), 9), encoding="gzip"))
    tracemalloc.start()
    with fails("nrrd-damaged"):
        read_nrrd(file, LABELS.size)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def claiming(side: int) -> bytes:
    """Return the start of a NIfTI file, compressed, that claims a picture of this size."""
    header = nibabel.Nifti1Header()
    header.set_data_shape((side, side))
    header.set_data_dtype(np.float64)
    return gzip.compress(header.binaryblock + bytes(4) + bytes(10_000_000), 9)


@pytest.mark.safety("bounded-labels")
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (claiming(30_000), "too-large"),
        (claiming(2_000), "damaged"),
        (
            nibabel.Nifti1Pair(LABELS, np.eye(4)).header.binaryblock + bytes(10),
            "pixels-elsewhere",
        ),
    ],
    ids=["too large", "cut short", "detached"],
)
def test_a_nifti_file_is_not_unpacked_beyond_the_size_of_a_radiograph(read, content, code):
    tracemalloc.start()
    with fails(code):
        read(content)
    assert tracemalloc.get_traced_memory()[1] < 100_000_000
    tracemalloc.stop()


@pytest.mark.safety("bounded-labels")
@given(data=st.data())
def test_mutated_files_are_read_or_refused(tmp_path_factory, data):
    content = bytearray(data.draw(st.sampled_from((nrrd(), nrrd(gzip.compress(LABELS.tobytes()), encoding="gzip")))))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, 400))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=6))
    file = tmp_path_factory.getbasetemp() / "mutated.nrrd"
    file.write_bytes(content)
    try:
        image = read_nrrd(file, LABELS.size)
    except LungsegError:
        return
    assert image.values.size == LABELS.size
    assert np.isfinite(image.affine).all()
