# SPDX-License-Identifier: Apache-2.0
"""Files are read in a process of their own, once; whatever it does, this process and the next file are well."""

from __future__ import annotations

import os
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
from errors_support import fails
from images_support import GREY, GREY16, write_dicom
from PIL import Image
from pydicom import dcmread

from lungseg.inference.predict import predict
from lungseg.inference.predictor import Predictor
from lungseg.io import content, read_radiograph, read_source, reader_process
from lungseg.io.content import read_content
from lungseg.io.dicom.header_bytes import HEADER_BYTES, decode_header
from lungseg.io.reading import read_mask_values
from lungseg.utils.errors import LungsegError


@pytest.fixture
def png(tmp_path) -> Path:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def fresh_process(monkeypatch):
    """Forget the processes that other tests started, before and after."""
    reader_process.stop_readers()
    yield monkeypatch
    reader_process.stop_readers()


def _answering(answer: bytes) -> str:
    """Return a program that gives this answer to any request."""
    packed = zlib.compress(answer)
    return f"import sys, zlib; sys.stdin.buffer.readline(); sys.stdout.buffer.write(zlib.decompress({packed!r}))"


class _Attack:
    def __reduce__(self):
        return os.mkdir, ("attacked",)


_PIXELS = b'"format": "raster", "sha256": "0", "spacing": null, "header": 0, "type": "|u1", "shape": '


def test_readers_start_ahead_of_any_path(png, fresh_process):
    write_dicom(dicom := png.with_name("a.dcm"), GREY)
    os.mkfifo(pipe := png.with_name("pipe"))
    (damaged := png.with_name("b.png")).write_bytes(b"\x1f\x8b" + bytes(40))
    fresh_process.setattr(reader_process, "core_count", lambda: 6)
    reader_process.start_readers([pipe, damaged, png.with_name("missing"), png.parent, "\ud800", dicom, png])
    with fails("not-found"):
        read_radiograph(png.with_name("missing"))
    for path in (png, dicom, png, dicom, png):
        assert read_radiograph(path).pixels.shape == GREY.shape


@pytest.mark.safety("decoder-answers")
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\n",
        b"not JSON\n",
        b"[]\n",
        b'"text"\n',
        b"{}\n",
        b"[" * 60_000 + b"\n",
        b"x" * 100_000,
        b'{"header": -1}\n',
        b'{"header": 99999999999999}\n',
        b'{"header": 1e999}\n',
        b'{"header": 10}\nshort',
        b'{"header": 0, "error": "text"}\n',
        b'{"header": 0, "error": {"code": 1}}\n',
        b"{" + _PIXELS + b"[70, 48]}\nshort",
        b"{" + _PIXELS + b"[1000000, 1000000]}\n",
        b"{" + _PIXELS + b"[-70, -48]}\n",
        b"{" + _PIXELS + b'"text"}\n',
        b"{" + _PIXELS.replace(b"|u1", b"|O8") + b"[70, 48]}\n" + bytes(8 * 70 * 48),
        pickle.dumps(_Attack()) + b"\n",
    ],
    ids=lambda answer: ascii(answer[:60]),
)
def test_an_odd_answer_is_an_error_of_its_file_alone(png, fresh_process, answer):
    fresh_process.chdir(png.parent)
    with fresh_process.context() as patch:
        patch.setattr(reader_process, "_SERVE", _answering(answer).replace("{", "{{").replace("}", "}}"))
        with pytest.raises(LungsegError) as caught:
            read_radiograph(png)
    assert caught.value.code in ("damaged", "too-large", "too-small")
    np.testing.assert_array_equal(read_radiograph(png).pixels, GREY)
    assert not (png.parent / "attacked").exists()


@pytest.mark.safety("decoder-memory")
def test_a_file_that_takes_too_much_memory_fails_alone(png, fresh_process):
    large = png.with_name("large.png")
    Image.new("L", (8900, 8900)).save(large, compress_level=1)
    with fresh_process.context() as patch:
        patch.setattr(reader_process, "_MOST_MEMORY", 200_000_000)
        with fails("too-much-memory"):
            read_radiograph(large)
        np.testing.assert_array_equal(read_radiograph(png).pixels, GREY)


@pytest.mark.safety("decoder-memory")
def test_a_process_that_the_system_ends_has_taken_too_much_memory(png, fresh_process):
    with fresh_process.context() as patch:
        patch.setattr(reader_process, "_SERVE", "import os; os.kill(os.getpid(), 9)")
        with fails("too-much-memory"):
            read_radiograph(png)
    np.testing.assert_array_equal(read_radiograph(png).pixels, GREY)


@pytest.mark.safety("decoder-time")
@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="this system does not count processor time")
def test_a_file_that_takes_too_much_processor_time_fails_alone(png, fresh_process):
    endless = "from lungseg.io.reader_child import _limit_time\n_limit_time(0.1)\nwhile True: pass"
    with fresh_process.context() as patch:
        patch.setattr(reader_process, "_SERVE", endless)
        with fails("too-much-time"):
            read_radiograph(png)
    np.testing.assert_array_equal(read_radiograph(png).pixels, GREY)


@pytest.mark.safety("read-once")
def test_a_file_that_changes_while_it_is_read_has_failed(png, monkeypatch):
    checked = content._check_file

    def change(status: os.stat_result, path: Path) -> None:
        checked(status, path)
        with path.open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(content, "_check_file", change)
    with fails("changed-while-read"):
        read_content(png)
    assert content.content_hash(png) is None


def _two_patients(folder: Path) -> tuple[Path, Path]:
    for name, pixels, number in (("Alice^A", GREY16, "1.2.3"), ("Bob^B", GREY16[::-1], "1.2.4")):
        attributes = {"SOPInstanceUID": number, "StudyInstanceUID": f"{number}.1", "SeriesInstanceUID": f"{number}.2"}
        write_dicom(folder / f"{name[0]}.dcm", pixels, PatientName=name, PatientID=number, **attributes)
    return folder / "A.dcm", folder / "B.dcm"


@pytest.mark.safety("read-once")
def test_pixels_and_identity_come_from_the_same_bytes(tmp_path, run_folder, monkeypatch):
    pytest.importorskip("highdicom", reason="the extra `dicom` is not installed")
    alice, bob = _two_patients(tmp_path)
    (tmp_path / "in").mkdir()
    current = tmp_path / "in" / "current.dcm"
    alice.rename(current)
    run = Predictor.run

    def replaced_meanwhile(self, batch):
        if bob.exists():
            bob.replace(current)
        return run(self, batch)

    monkeypatch.setattr(Predictor, "run", replaced_meanwhile)
    (row,) = predict([current.parent], tmp_path / "out", weights=run_folder, device="cpu", kinds=["dicom-seg"])
    assert row.status in ("ok", "flagged"), row.reason
    assert dcmread(tmp_path / "out" / "dicom-seg" / "current.dcm").PatientName == "Alice^A"
    # The next run sees that the file has another content.
    monkeypatch.undo()
    predict([current.parent], tmp_path / "out", weights=run_folder, device="cpu", kinds=["dicom-seg"])
    assert dcmread(tmp_path / "out" / "dicom-seg" / "current.dcm").PatientName == "Bob^B"


@pytest.mark.safety("read-once")
def test_a_file_that_changes_after_it_was_compared_with_earlier_results_has_failed(
    tmp_path, png, run_folder, monkeypatch
):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    png.rename(source / "a.png")
    predict([source], out, weights=run_folder, device="cpu", kinds=["masks"])
    prepare = Predictor.prepare

    def changed(self, path):
        Image.fromarray(255 - GREY).save(path)
        return prepare(self, path)

    monkeypatch.setattr(Predictor, "prepare", changed)
    (row,) = predict([source], out, weights=run_folder, device="cpu", kinds=["masks", "labels"])
    assert (row.status, "changed while it was read" in row.reason) == ("failed", True)


def test_a_header_without_pixels_private_and_large_elements(tmp_path):
    attributes = {"PatientName": "Alice^A", "ImageComments": "x" * 5000, "ViewPosition": "AP"}
    dataset = write_dicom(tmp_path / "a.dcm", GREY16, **attributes)
    dataset.private_block(0x0011, "MAKER", create=True).add_new(1, "LO", "secret")
    dataset.add_new(0x00280106, "US", 7)
    dataset.add_new(0x00282000, "OB", bytes(100_000))
    dataset.save_as(tmp_path / "a.dcm")
    source = read_source(tmp_path / "a.dcm")
    header = decode_header(source.header)
    assert len(source.header) < HEADER_BYTES
    assert (header.PatientName, header.ImageComments, header.ViewPosition) == ("Alice^A", "x" * 5000, "AP")
    assert not {0x7FE00010, 0x00110010, 0x00282000} & set(header.keys())
    assert source.sha256 == read_radiograph(tmp_path / "a.dcm").source.sha256 == read_content(tmp_path / "a.dcm").sha256


def test_a_source_needs_a_known_format(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    with fails("unknown-format"):
        read_source(tmp_path / "a.txt")


@pytest.mark.safety("program-formats")
def test_a_mask_of_a_format_that_starts_programs_is_refused(tmp_path):
    (tmp_path / "mask.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n")
    with fails("unknown-format"):
        read_mask_values(tmp_path / "mask.eps")
