# SPDX-License-Identifier: Apache-2.0
"""The studies of the MONAI Label app: the files that are listed, their labels, and the random strategy."""

from __future__ import annotations

import os

import nibabel
import numpy as np
import pytest
from label_support import LabelServer, png, require_environment

from lungseg.data import phantom
from lungseg.io import write_png
from lungseg.workflows.label.store.study_files import find_studies

SIZE = (96, 72)
LONG = "n" * 250
# Not UTF-8, as in old archives.
NOT_UTF8 = b"b\xff.png"
LISTED = {"a", "B", "twice", LONG}


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("named") / "studies"
    names = ("a.png", "B.Png", "twice.png", "twice.tif", f"{LONG}.png", os.fsdecode(NOT_UTF8))
    for number, name in enumerate(names):
        write_png(folder / "picture.png", phantom((7, number), SIZE)[0])
        (folder / "picture.png").rename(folder / name)
    (folder / "folder.png").mkdir()
    return folder


@pytest.fixture(scope="module")
def server(studies):
    require_environment()
    with LabelServer(studies) as running:
        yield running


def drawn(number: int) -> np.ndarray:
    """A label map, another one for each number."""
    labels = phantom((7, 0), SIZE)[1].copy()
    labels[number, :5] = 1
    return labels


def test_the_studies_that_are_found_are_listed(server, studies):
    found = find_studies(studies)
    names = {path.name for path in found.studies}
    assert names == {"a.png", "B.Png", "twice.png", f"{LONG}.png"}
    assert [sentence.split(": ")[0] for sentence in found.excluded] == ["b\\xff.png", "twice.tif"]
    answer = server.get("/lungseg/studies")
    assert answer.status == 200
    assert {one["id"] for one in answer.json} == LISTED
    listed = server.get("/datastore/", output="all").json["objects"]
    assert {one["image"]["info"]["name"] for one in listed.values()} == names


@pytest.mark.parametrize("study", ["a", LONG])
@pytest.mark.safety("label-lost")
def test_no_kept_label_takes_the_place_of_another(server, study):
    folder = server.work / "replaced" / "turns"
    kept = {}
    for number in range(5):
        assert server.save(study, drawn(number), "turns").status == 200
        for file in folder.glob(f"{study[:9]}*") if folder.is_dir() else ():
            assert kept.setdefault(file.name, file.read_bytes()) == file.read_bytes()
        if number == 2:
            min(folder.glob(f"{study[:9]}*")).unlink()
    assert len(kept) == len(set(kept.values())) == 4


@pytest.mark.parametrize(("length", "status"), [(380, 400), (200, 200)])
def test_a_new_study_may_have_a_name_that_a_file_can_have(server, studies, length, status):
    name = "ö" * (length // 2)
    picture = png(phantom((7, 8), SIZE)[0])
    answer = server.form("PUT", "/datastore/image", files={"file": ("x.png", picture)}, image=name)
    assert answer.status == status, answer
    if status == 200:
        assert server.save(name, drawn(0)).status == 200
        assert server.save(name, drawn(1)).status == 200
        server.ask("DELETE", f"/datastore/image?id={'%C3%B6' * (length // 2)}")
    else:
        assert "200 bytes" in answer.detail


def put(server, studies, name: str, content: bytes) -> None:
    """Put a label there as another program would, and wait until it is listed."""
    file = studies / "labels" / "final" / name
    (studies / ".part").write_bytes(content)
    (studies / ".part").rename(file)
    server.wait(lambda: labelled(server, "a"))


def labelled(server, study: str) -> bool:
    return {one["id"]: one["labelled"] for one in server.get("/lungseg/studies").json}[study]


@pytest.fixture
def without_label(server):
    """Leave the study without a final label."""
    yield
    server.ask("DELETE", "/datastore/label?id=a&tag=final")
    server.wait(lambda: not labelled(server, "a"))


@pytest.mark.usefixtures("without_label")
def test_a_label_of_another_format_is_shown_as_a_png(server, studies, tmp_path):
    volume = nibabel.Nifti1Image(drawn(1).T, np.diag([-1, -1, 1, 1]))
    nibabel.save(volume, tmp_path / "label.nii.gz")
    put(server, studies, "a.nii.gz", (tmp_path / "label.nii.gz").read_bytes())
    answer = server.get("/lungseg/studies/a/label")
    assert (answer.status, answer.type) == (200, "image/png")
    np.testing.assert_array_equal(answer.labels, drawn(1))


@pytest.mark.usefixtures("without_label")
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (png((drawn(1) > 0) * np.uint8(255)), "label-map-values"),
        (png(drawn(1)[:60]), "label-map-size"),
        (b"nothing", "not-a-label-map"),
    ],
    ids=["mask", "size", "nothing"],
)
def test_a_wrong_label_of_another_program_is_not_shown(server, studies, content, code):
    put(server, studies, "a.png", content)
    answer = server.get("/lungseg/studies/a/label")
    assert answer.status == 400
    assert answer.json["code"] == code


def test_random_does_not_offer_the_study_of_another_client(server):
    first = server.post("/activelearning/random", {"client_id": "one"}).json["id"]
    others = [server.post("/activelearning/random", {"client_id": "two"}) for _ in range(20)]
    assert {answer.status for answer in others} == {200}
    assert first not in {answer.json["id"] for answer in others}
