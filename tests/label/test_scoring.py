# SPDX-License-Identifier: Apache-2.0
"""Scoring of the studies in the background, and the versions of the weights that it uses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lungseg.data import phantom
from lungseg.io import write_png
from lungseg.model.paths import weights_file
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.workflows.label.store.model_versions import Versions
from lungseg.workflows.label.tasks.active_model import ActiveModel
from lungseg.workflows.label.tasks.scoring import Scoring


class Studies:
    """One study, which can be unreachable."""

    def __init__(self, folder: Path, reachable: bool = True) -> None:
        self.folder, self.reachable = folder, reachable

    def list_images(self) -> list[str]:
        return ["study"]

    def file_of(self, image_id: str) -> Path:
        if not self.reachable:
            raise LungsegError("the service does not answer")
        return self.folder / f"{image_id}.png"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return ActiveModel(Versions(tmp_path_factory.mktemp("versions"), weights_file("shipped")))


@pytest.fixture
def study(tmp_path):
    write_png(tmp_path / "study.png", phantom(1, (128, 160))[0])
    return tmp_path / "study.png"


def test_the_active_weights_are_looked_up_once_a_listing(tmp_path):
    class Active:
        calls = 0

        def loaded(self) -> tuple:
            self.calls += 1
            return None, None, "new"

    known = {str(number): {"weights": "new" if number else "old", "quality": 0.9} for number in range(50)}
    (tmp_path / "scores.json").write_text(json.dumps(known))
    active = Active()
    scoring = Scoring(tmp_path / "scores.json", Studies(tmp_path), active)
    assert set(scoring.findings()) == set(known) - {"0"}
    assert active.calls == 1


def test_a_study_that_was_unreachable_is_scored_later(tmp_path, study, model):
    studies = Studies(tmp_path, reachable=False)
    scoring = Scoring(tmp_path / "scores.json", studies, model)
    scoring.score_all()
    assert scoring.findings()["study"] == {"error": "the service does not answer."}
    studies.reachable = True
    scoring.score_all()
    assert scoring.findings()["study"]["quality"] > 0
    assert "error" not in scoring.findings()["study"]


def test_a_study_that_was_repaired_is_scored_again(tmp_path, study, model):
    whole = study.read_bytes()
    study.write_bytes(whole[: len(whole) // 2])
    scoring = Scoring(tmp_path / "scores.json", Studies(tmp_path), model)
    scoring.score_all()
    assert "error" in scoring.findings()["study"]
    study.write_bytes(whole)
    # Also after a new start.
    scoring = Scoring(tmp_path / "scores.json", Studies(tmp_path), model)
    scoring.score_all()
    assert scoring.findings()["study"]["quality"] > 0


def test_a_study_is_scored_once(tmp_path, study, model):
    scoring = Scoring(tmp_path / "scores.json", Studies(tmp_path), model)
    scoring.score_all()
    before = scoring.findings()["study"]
    scoring.score_all()
    assert scoring.findings()["study"] is before


@pytest.fixture
def versions(tmp_path):
    (tmp_path / "first.pt").touch()
    return Versions(tmp_path / "versions", tmp_path / "first.pt")


def test_a_run_becomes_a_version_with_its_record(versions):
    run = versions.new_run()
    (run / "model.pt").touch()
    assert [version.number for version in versions.all()] == [0]
    assert versions.unfinished() == run
    versions.finish(run, {"from": 0})
    assert [version.number for version in versions.all()] == [0, 1]
    assert versions.unfinished() is None
    assert versions.new_run().name == "0002"


def test_a_version_that_does_not_exist_cannot_be_activated(versions):
    with pytest.raises(UsageError) as unknown:
        versions.activate(7)
    assert unknown.value.code == "version-unknown"
    assert versions.active().number == 0


def test_missing_weights_are_reported(versions):
    run = versions.new_run()
    versions.finish(run, {"from": 0})
    versions.activate(1)
    with pytest.raises(LungsegError) as missing:
        versions.active()
    assert missing.value.code == "version-weights-missing"


@pytest.mark.safety("odd-studies")
@pytest.mark.parametrize(
    "content",
    ["{", "[]", '"x"', '{"a": "x"}', '{"a": {"weights": 5}}', '{"a": {"weights": "new", "quality": NaN}}', "\0"],
)
def test_damaged_scores_are_made_again(tmp_path, content):
    (tmp_path / "scores.json").write_text(content)

    class Active:
        def loaded(self) -> tuple:
            return None, None, "new"

    assert Scoring(tmp_path / "scores.json", Studies(tmp_path), Active()).findings() == {}
