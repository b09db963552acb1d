# SPDX-License-Identifier: Apache-2.0
"""Bad and hostile files: each fails with a code, a sentence and a remedy, leaves nothing, and the others are done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hostile_files import BAD, GOOD, HEIGHT, PNG, WIDTH, write_file
from images_support import GREY16, write_dicom
from monai.transforms import LoadImage
from PIL import Image

from lungseg.data import RadiographReader
from lungseg.inference.predict import predict
from lungseg.utils.errors import LungsegError

VANISHING = "zz-vanishing.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """All bad files, among good ones."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, (what, _) in BAD.items():
        write_file(folder / name, what)
    for name, content in GOOD.items():
        write_file(folder / name, content)
    write_dicom(folder / "good.dcm", GREY16)
    (folder / VANISHING).write_bytes(PNG)
    (folder / "round").symlink_to(folder)
    return folder


@pytest.fixture(scope="module")
def run(folder, run_folder, tmp_path_factory):
    """Segment them all at once: the rows by name, and the folder of the results."""
    out = tmp_path_factory.mktemp("results")
    vanish = lambda *_: (folder / VANISHING).unlink(missing_ok=True)  # noqa: E731
    rows = predict([folder], out, weights=run_folder, device="cpu", on_result=vanish)
    return {Path(row.file).name: row for row in rows}, out


def _expect_sentence(sentence: str, path: Path) -> None:
    """Expect a sentence that names the file, has a remedy and cannot command a terminal."""
    named = re.sub(r"[\x00-\x1f\ud800-\udfff]", lambda found: ascii(found[0])[1:-1], f"{path}: ")
    assert sentence.startswith(named)
    assert re.search(r"; [^;]{5,}\.$", sentence), "no remedy"
    assert not re.search(r"[\x00-\x1f\x7f]", sentence)


@pytest.mark.parametrize("name", BAD, ids=ascii)
@pytest.mark.safety("bad-file-alone")
def test_a_bad_file_fails_alone(run, folder, name):
    rows, out = run
    assert rows[name].status == "failed"
    _expect_sentence(rows[name].reason, folder / name)
    assert not [path for path in out.glob("*/*") if path.name.startswith(Path(name).stem + ".")]


@pytest.mark.parametrize("name", BAD, ids=ascii)
@pytest.mark.safety("bad-file-alone")
def test_a_bad_file_does_not_slip_through_the_default_readers_of_monai(folder, name):
    with pytest.raises(LungsegError) as caught:
        LoadImage(reader=RadiographReader())(folder / name)
    _expect_sentence(str(caught.value), folder / name)
    assert re.fullmatch(BAD[name][1], caught.value.code)


@pytest.mark.parametrize("name", [*GOOD, "good.dcm"], ids=ascii)
@pytest.mark.safety("bad-file-alone")
def test_the_good_neighbours_of_bad_files_are_done(run, name):
    rows, out = run
    assert rows[name].status in ("ok", "flagged")
    stem = name.removesuffix(".gz").rsplit(".", 1)[0]
    written = [path for path in (out / "masks").iterdir() if path.name.startswith(stem)]
    assert written
    for path in written:
        with Image.open(path) as image:
            assert image.size == (WIDTH, HEIGHT)


def test_nothing_else_is_left(run):
    rows, out = run
    assert len(rows) == len(BAD) + len(GOOD) + 2
    assert len(list((out / "masks").iterdir())) == len(GOOD) + 1
    assert not list(out.rglob(".*"))


@pytest.mark.safety("bad-file-alone")
def test_a_file_that_vanishes_meanwhile_fails_alone(run, folder):
    row = run[0][VANISHING]
    assert row.status == "failed"
    _expect_sentence(row.reason, folder / VANISHING)
