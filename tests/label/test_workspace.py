# SPDX-License-Identifier: Apache-2.0
"""The workspace: its folder, and workspaces of version 0.3, whose labels, model versions and scores are kept.

`annotations_0_3/` is a folder of studies as version 0.3 left it after one training of a tiny network. Each test has a
copy of its own.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from errors_support import fails
from label_support import LabelServer, require_environment
from PIL import Image

from lungseg.model.paths import weights_file
from lungseg.model.weights import weights_hash
from lungseg.utils.errors import LungsegError
from lungseg.workflows.label.store.model_versions import Versions
from lungseg.workflows.label.store.workspace import default_workspace, prepare_workspace
from lungseg.workflows.label.tasks.active_model import ActiveModel
from lungseg.workflows.label.tasks.scoring import Scoring

BEFORE = Path(__file__).parent / "annotations_0_3"
SERVICE = "http://127.0.0.1:8042/dicom-web"
NAMES = {f"study-{number}" for number in range(8)}


@pytest.fixture
def studies(tmp_path):
    return Path(shutil.copytree(BEFORE, tmp_path / "studies"))


@pytest.fixture
def workspace(studies):
    return prepare_workspace(default_workspace(str(studies)))


@pytest.fixture
def versions(workspace):
    return Versions(workspace / "versions", weights_file("shipped"))


def read(file: Path):
    return json.loads(file.read_text())


def test_the_versions_of_0_3_are_kept(versions):
    first, second = versions.all()
    assert (first.number, second.number, versions.active().number) == (0, 1, 1)
    assert weights_hash(second.weights) == second.record["sha256"]
    before = read(BEFORE / ".lungseg-label" / "versions" / "0001" / "version.json")
    assert second.record["replay_ratio"] == before["original_share"] == 0.5
    assert second.record["replay"] == before["original"]
    assert second.record["counts"]["train"] == {"labels": 5, "replay": 2}
    assert "original_share" not in second.record
    for key in ("held_out", "epochs", "created", "better", "reason"):
        assert second.record[key] == before[key]


def test_the_scores_of_0_3_are_kept_under_the_present_names(workspace, versions):
    findings = Scoring(workspace / "scores.json", None, ActiveModel(versions)).findings()
    before = read(BEFORE / ".lungseg-label" / "survey.json")
    assert {name: found["quality"] for name, found in findings.items()} == {
        name: found["quality"] for name, found in before.items()
    }
    assert list(findings["study-0"]["doubts"]) == [
        "unusual-shape",
        "uncertain-border",
        "models-disagree",
        "low-quality",
    ]
    assert list(findings["study-0"]["notes"]) == ["cropped"]
    assert "thumbnail" not in findings["study-0"]
    assert not (workspace / "survey.json").exists()


def test_the_weights_of_0_3_still_segment(studies, workspace, versions):
    prediction, version, sha256 = ActiveModel(versions)(studies / "study-0.png")
    assert version.number == 1
    assert sha256 == weights_hash(workspace / "versions" / "0001" / "model.pt")
    # They know one extent of the lungs, and no heart.
    assert prediction.heart is None
    assert set(np.unique(prediction.labels)) <= {0, 1, 2}


def test_a_workspace_is_migrated_once(workspace):
    content = {file: file.read_bytes() for file in workspace.rglob("*") if file.is_file()}
    assert prepare_workspace(workspace) == workspace
    assert {file: file.read_bytes() for file in workspace.rglob("*") if file.is_file()} == content


def test_scores_that_are_newer_than_those_of_0_3_win(studies):
    workspace = default_workspace(str(studies))
    (workspace / "scores.json").write_text("{}")
    prepare_workspace(workspace)
    assert read(workspace / "scores.json") == {}


def test_a_damaged_file_is_named_and_left_as_it_is(studies):
    damaged = default_workspace(str(studies)) / "survey.json"
    damaged.write_text("{")
    with pytest.raises(LungsegError, match=r"survey\.json") as refused:
        prepare_workspace(damaged.parent)
    assert refused.value.code == "workspace-file-damaged"
    assert damaged.read_text() == "{"


def test_the_server_opens_the_annotations_of_0_3(studies):
    require_environment()
    unfinished = studies / ".lungseg-label" / "versions" / "0002"
    unfinished.mkdir()
    shutil.copy(unfinished.parent / "0001" / "lessons.json", unfinished)
    with LabelServer(studies) as server:
        assert {one["id"] for one in server.get("/lungseg/studies").json if one["labelled"]} == NAMES
        label = np.asarray(Image.open(BEFORE / "labels" / "final" / "study-3.png"))
        np.testing.assert_array_equal(server.get("/lungseg/studies/study-3/label").labels, label)
        listed = server.get("/lungseg/versions").json
        assert (listed["active"], listed["training"]["version"]) == (1, 2)
        assert server.infer("study-1", "json").json["version"] == 1
        # A training of 0.3 cannot be resumed: a new one begins, with the same held-out studies.
        server.post("/train/lung_cxr_segmentation", {"resume": True, "epochs": 1})
        server.wait(lambda: server.get("/train/").json["status"] in ("DONE", "ERROR"))
        assert server.get("/train/").json["status"] == "DONE", server.get("/train/").json
        newest = server.get("/lungseg/versions").json["versions"][-1]
        assert (newest["version"], newest["from"]) == (3, 1)
    sections = read(studies / ".lungseg-label" / "sections.json")
    before = read(BEFORE / ".lungseg-label" / "sections.json")
    assert {key: sections[key] for key in ("train", "validation", "test")} == {
        key: before[key] for key in ("train", "validation", "test")
    }


def test_the_workspace_of_a_folder_lies_in_it(tmp_path):
    assert default_workspace(str(tmp_path)) == tmp_path / ".lungseg-label"


def test_the_workspace_of_a_service_lies_in_the_users_state_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    usual = default_workspace(SERVICE)
    assert usual.parent == tmp_path / ".local" / "state" / "lungseg"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert default_workspace(f"{SERVICE}/") == tmp_path / "state" / "lungseg" / usual.name


def test_the_workspace_of_a_service_from_0_3_is_found_on_every_system(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(platformdirs, "user_state_path", lambda *_, **__: tmp_path / "Library")
    present = default_workspace(SERVICE)
    assert present.parent == tmp_path / "Library"
    earlier = tmp_path / ".local" / "state" / "lungseg" / present.name
    earlier.mkdir(parents=True)
    assert default_workspace(SERVICE) == earlier


@pytest.mark.safety("private-state")
def test_other_users_cannot_enter_a_workspace(tmp_path, studies):
    before = studies / ".lungseg-label"
    before.chmod(0o755)
    for workspace in (before, tmp_path / "new"):
        assert prepare_workspace(workspace).stat().st_mode & 0o777 == 0o700


@pytest.mark.safety("links-in-studies")
def test_a_workspace_that_is_a_link_in_the_studies_is_refused(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / ".lungseg-label").symlink_to(tmp_path)
    with fails("name-is-link"):
        default_workspace(str(tmp_path / "studies"))
