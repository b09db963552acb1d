# SPDX-License-Identifier: Apache-2.0
"""A folder of odd things: no study, name, link or stored value stops the server or the other studies.

The list of studies was poisoned, as versions before 1.0 could store it.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from errors_support import fails
from images_support import write_dicom
from label_support import LabelServer, png, require_environment

from lungseg.data import phantom
from lungseg.io import write_png
from lungseg.workflows.label.store.study_files import find_studies

SIZE = (96, 72)
PICTURE, LABELS = phantom((7, 0), SIZE)
SECRET = png(phantom((7, 1), SIZE)[0])
GOOD = {"good", "other", "50%", "a#b?c&d", "=cmd()", "<b>bold", "Größe"}
# Listed, but they cannot be read.
DAMAGED = {"empty", "text", "cut", "huge", "uid"}
HIDDEN = ("bidi\u202egnp.png", "new\nline.png", "bell\a.png", "back\\slash.png", os.fsdecode(b"b\xff.png"))
LIST = "datastore_v2.json"


def huge_png() -> bytes:
    """Return a PNG that claims 60,000 x 60,000 pixels."""
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + chunk


def poisoned() -> dict:
    """Return a list of studies with values, names and paths that no client should be able to store."""
    plain = {"image": {"ext": ".png", "info": {"name": "good.png", "ts": 1}}, "labels": {}}
    endless = {"image": {"ext": ".png", "info": {"strategy": "x", "number": float("nan")}}, "labels": {}}
    leaving = {"../x": {"ext": ".png", "info": {}}, "final": {"ext": "/../../../secret.png", "info": {}}}
    return {
        "name": "x",
        "description": "x",
        "images_dir": "..",
        "labels_dir": "/etc",
        "objects": {
            "good": plain,
            "other": endless | {"labels": leaving},
            "../secret": plain,
            "leak": plain,
            "text": {"image": {"ext": "/../../secret.png", "info": {}}, "labels": {}},
        },
    }


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    above = tmp_path_factory.mktemp("odd")
    folder = above / "studies"
    for name in GOOD:
        write_png(folder / f"{name}.png", PICTURE)
    for name in HIDDEN:
        (folder / name).write_bytes(SECRET)
    write_dicom(above / "whole.dcm", PICTURE)
    (folder / "cut.dcm").write_bytes((above / "whole.dcm").read_bytes()[:700])
    write_dicom(folder / "uid.dcm", PICTURE.astype(np.uint16) + 1, SOPInstanceUID="../../x")
    (folder / "uid.dcm").write_bytes((folder / "uid.dcm").read_bytes()[:-999])
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("text")
    (folder / "huge.png").write_bytes(huge_png())
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    (above / "secret.png").write_bytes(SECRET)
    (folder / "leak.png").symlink_to(above / "secret.png")
    (folder / "dangling.png").symlink_to(above / "written.png")
    for tag in (b"final", b"b\xff", b".hidden"):
        write_png(folder / "labels" / os.fsdecode(tag) / "good.png", LABELS)
    (folder / "labels" / "final" / "other.png").symlink_to(above / "secret.png")
    (above / "elsewhere").mkdir()
    write_png(above / "elsewhere" / "good.png", LABELS)
    (folder / "labels" / "linked").symlink_to(above / "elsewhere")
    (folder / LIST).write_text(json.dumps(poisoned()))
    return folder


@pytest.fixture(scope="module")
def server(studies):
    require_environment()
    with LabelServer(studies) as running:
        yield running


def listed(server) -> dict[str, dict]:
    answer = server.get("/lungseg/studies")
    assert answer.status == 200
    return {one["id"]: one for one in answer.json}


@pytest.mark.safety("odd-studies")
def test_every_file_that_is_not_a_study_has_a_reason(studies):
    found = find_studies(studies)
    reasons = dict(sentence.split(": ", 1) for sentence in found.excluded)
    assert {path.name.rsplit(".", 1)[0] for path in found.studies} >= GOOD
    for name in ("leak.png", "dangling.png", "labels/linked", "labels/final/other.png"):
        assert "link" in reasons[name]
    for name in ("bidi\\u202egnp.png", "new\\nline.png", "bell\\x07.png", "b\\xff.png", "labels/b\\xff"):
        assert "rename" in reasons[name]


@pytest.mark.safety("links-in-studies")
@pytest.mark.parametrize("name", ["labels", "labels/final", "labels/original"])
def test_a_folder_of_labels_that_is_a_link_is_refused(tmp_path, name):
    write_png(tmp_path / "studies" / "a.png", PICTURE)
    (tmp_path / "studies" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "studies" / name).symlink_to(tmp_path)
    with fails("name-is-link"):
        find_studies(tmp_path / "studies")
    (tmp_path / "studies" / name).unlink()
    (tmp_path / "studies" / name).touch()
    with fails("is-file"):
        find_studies(tmp_path / "studies")


@pytest.mark.safety("odd-studies")
def test_the_others_are_listed_scored_and_offered(server):
    assert listed(server).keys() == GOOD | DAMAGED
    server.wait_until_scored()
    assert {name for name, one in listed(server).items() if one["error"]} == DAMAGED
    for strategy in ("random", "lowest-quality"):
        assert server.post(f"/activelearning/{strategy}", {"client_id": strategy}).json["id"] in GOOD | DAMAGED
    for output in ("all", "stats"):
        assert server.get("/datastore/", output=output).status == 200
    assert server.infer("a#b?c&d").labels.shape == LABELS.shape


@pytest.mark.safety("links-in-studies")
def test_no_link_is_served(server):
    for name in ("leak", "dangling", "../secret", "good/../leak"):
        for answer in (
            server.get("/datastore/image", image=name),
            server.infer(name),
            server.save(name, LABELS),
            server.ask("DELETE", f"/datastore/image?id={name}"),
        ):
            assert answer.status == 404, answer
    for study, tag in (("other", "final"), ("good", "linked"), ("other", "../x"), ("leak", "final")):
        assert server.get("/datastore/label", label=study, tag=tag).status in (400, 404)
    assert {name for name, one in listed(server).items() if one["labelled"]} == {"good"}


@pytest.mark.safety("links-in-studies")
def test_nothing_is_written_or_deleted_through_a_link(server, studies):
    above = studies.parent

    def outside() -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in (*above.glob("*.*"), *(above / "elsewhere").iterdir())}

    before = outside()
    for name in ("leak", "dangling"):
        answer = server.form("PUT", "/datastore/image", files={"file": ("x.png", png(PICTURE))}, image=name)
        assert (answer.status, answer.json["code"]) == (400, "name-is-link")
    answer = server.form("PUT", "/datastore/image", files={"file": ("x.png", png(PICTURE))}, image="folder")
    assert (answer.status, answer.json["code"]) == (400, "name-taken")
    for study, tag in (("other", "final"), ("good", "linked")):
        answer = server.save(study, LABELS, tag)
        assert (answer.status, answer.json["code"]) == (400, "name-is-link")
        server.ask("DELETE", f"/datastore/label?id={study}&tag={tag}")
    assert outside() == before


@pytest.mark.safety("stored-values")
@pytest.mark.parametrize(
    "value",
    ["\ud800", float("nan"), 10**30, "x" * 5000, json.loads("[" * 50 + "]" * 50)],
    ids=["surrogate", "nan", "integer", "long", "deep"],
)
def test_what_could_not_be_read_again_is_not_stored(server, studies, value):
    before = (studies / LIST).read_bytes()
    label = {"label": ("label.png", png(LABELS))}
    for params in ({"client_id": value}, {"label_info": value}, {"label_info": [{"name": value}]}):
        answer = server.form("PUT", "/datastore/label", {"params": params}, label, image="good", tag="final")
        assert (answer.status, answer.json["code"]) == (400, "value-not-storable")
    picture = {"file": ("x.png", png(PICTURE))}
    answer = server.form("PUT", "/datastore/image", {"params": {"patient_id": value}}, picture, image="new")
    assert (answer.status, answer.json["code"]) == (400, "value-not-storable")
    assert server.post("/activelearning/random", {"client_id": value}).status == 400
    # MONAI Label's own calls that store values are not served.
    for path in ("/datastore/image/info?image=good", "/datastore/label/info?label=good&tag=final"):
        for info in ({"strategy": "x"}, {"note": value}, [], "x"):
            assert server.form("PUT", path, {"info": info}).status >= 400
    assert not (studies / "new.png").exists()
    assert (studies / LIST).read_bytes() == before
    assert server.get("/datastore/", output="all").status == 200


@pytest.mark.safety("stored-values")
@pytest.mark.parametrize("params", ["[" * 30_000, '{"label_info": ' + "[" * 5000, "[1]", '{"a": 1e999}'], ids=range(4))
def test_params_that_cannot_be_parsed_are_refused(server, params):
    label = {"label": ("label.png", png(LABELS))}
    answer = server.form("PUT", "/datastore/label", {"params": params}, label, image="good", tag="final")
    assert answer.status == 400
    assert answer.json["code"] in ("not-json-object", "value-not-storable")


def restarted(folder: Path, content: bytes) -> LabelServer:
    (folder / LIST).write_bytes(content)
    return LabelServer(folder)


@pytest.mark.safety("stored-values")
def test_a_damaged_list_of_studies_is_replaced_by_the_one_before(tmp_path):
    require_environment()
    write_png(tmp_path / "study.png", PICTURE)
    with LabelServer(tmp_path) as server:
        for client in ("first", "second"):
            label = {"label": ("label.png", png(LABELS))}
            params = {"params": {"client_id": client}}
            assert server.form("PUT", "/datastore/label", params, label, image="study", tag="final").status == 200
    damaged = (tmp_path / LIST).read_bytes().replace(b'"second"', b'"\\ud800"')
    with restarted(tmp_path, damaged) as server:
        study = server.get("/datastore/", output="all").json["objects"]["study"]
        assert study["labels"]["final"]["info"]["client_id"] == "first"
        assert listed(server)["study"]["labelled"]
        # While it runs: the list in memory replaces a damaged file.
        (tmp_path / LIST).write_bytes(b"{")
        assert server.save("study", LABELS).status == 200
        assert json.loads((tmp_path / LIST).read_text())["objects"].keys() == {"study"}
    assert "was damaged" in server.output
    assert (tmp_path / "datastore_v2.damaged.json").read_bytes() == damaged
    # Without a good one before, studies and labels are found again.
    (tmp_path / f".{LIST.replace('.', '.previous.')}").unlink()
    with restarted(tmp_path, b"\0" * 100) as server:
        assert listed(server)["study"]["labelled"]
