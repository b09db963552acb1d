# SPDX-License-Identifier: Apache-2.0
"""Where a worker keeps its state, also one of version 0.3, and at which change it starts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom.uid import ComputedRadiographyImageStorage

from lungseg.utils.errors import LungsegError, UsageError
from lungseg.workflows.deploy.orthanc.processor import OUTCOME, read_study
from lungseg.workflows.deploy.orthanc.state import State, default_folder
from lungseg.workflows.deploy.orthanc.watch import _first_sequence

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="version 0.3 ran on Linux only")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.1:8042", "127.0.0.1_8042"),
        ("https://pacs.example.org/", "pacs.example.org_https"),
        ("https://pacs.example.org/a", "pacs.example.org_https_a"),
        ("https://pacs.example.org/a/", "pacs.example.org_https_a"),
        ("https://pacs.example.org/b", "pacs.example.org_https_b"),
        ("https://pacs.example.org/b/c", "pacs.example.org_https_b%2Fc"),
        ("http://pacs.example.org:81/..", "pacs.example.org_81_.."),
    ],
)
@needs_linux
def test_each_orthanc_has_its_folder_of_version_0_3(url, name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_folder(url) == tmp_path / "lungseg" / name
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder(url) == tmp_path / ".local" / "state" / "lungseg" / name


@pytest.fixture
def earlier(tmp_path) -> Path:
    """A state folder as a worker of version 0.3 left it."""
    folder = tmp_path / "127.0.0.1_8042"
    (folder / "work" / "in").mkdir(parents=True)
    (folder / "sequence.json").write_text('{"sequence": 1234}\n', encoding="utf-8")
    (folder / "lock").touch()
    return folder


def test_a_state_of_version_0_3_is_continued(earlier):
    state = State(earlier)
    assert state.load() == 1234
    state.save(1235)
    state.close()
    assert (earlier / "sequence.json").read_text(encoding="utf-8") == '{"sequence": 1235}\n'


@needs_linux
def test_a_running_worker_of_version_0_3_keeps_its_lock(earlier):
    import fcntl

    with open(earlier / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(UsageError) as refusal:
            State(earlier)
        assert refusal.value.code == "worker-running"
    State(earlier).close()


@needs_linux
def test_a_worker_of_version_0_3_respects_our_lock(earlier):
    import fcntl

    state = State(earlier)
    with open(earlier / "lock", "w") as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    state.close()


def test_a_radiograph_with_an_outcome_of_version_0_3_is_not_processed_again():
    outcome = {"weights": "abc", "status": "ok", "reason": "", "quality": 0.97, "doubts": {}, "results": ["x", "y"]}
    outcomes = {"done": json.dumps(outcome), "other weights": json.dumps(outcome | {"weights": "def"}), "foreign": "1"}
    instances = [*outcomes, "new"]
    orthanc = SimpleNamespace(
        series=lambda study: [({"Modality": "CR"}, instances)],
        metadata=lambda instance: (
            {"SopClassUid": ComputedRadiographyImageStorage}
            | ({OUTCOME: outcomes[instance]} if instance in outcomes else {})
        ),
    )
    content = read_study(orthanc, "study", "abc")
    assert content.instances == instances
    assert content.radiographs == ["other weights", "foreign", "new"]


@pytest.mark.safety("one-worker")
def test_one_worker_at_a_time_uses_a_folder(tmp_path):
    first = State(tmp_path)
    with pytest.raises(UsageError) as refusal:
        State(tmp_path)
    assert refusal.value.code == "worker-running"
    first.close()
    second = State(tmp_path)
    assert second.load() is None
    second.close()


@pytest.mark.parametrize("content", ["", "{}", "null", '{"sequence": "many"}', "\xff"])
def test_a_damaged_state_is_reported(tmp_path, content):
    (tmp_path / "sequence.json").write_text(content, encoding="latin-1")
    state = State(tmp_path)
    with pytest.raises(LungsegError) as error:
        state.load()
    assert error.value.code == "state-unreadable"
    state.close()


@pytest.mark.parametrize(
    ("last", "since", "saved", "first"),
    [(30, None, None, 30), (30, None, 20, 20), (30, 5, 20, 5), (0, None, 20, 0), (0, None, None, 0)],
)
def test_at_which_change_it_starts(last, since, saved, first):
    assert _first_sequence(SimpleNamespace(last_change=lambda: last, url="u"), since, saved) == first


def test_the_feed_of_another_orthanc_is_refused():
    with pytest.raises(LungsegError) as refusal:
        _first_sequence(SimpleNamespace(last_change=lambda: 3, url="u"), None, 20)
    assert refusal.value.code == "another-orthanc"
