# SPDX-License-Identifier: Apache-2.0
"""Training on labels: versions, comparison, activation, and trainings that are killed.

Each test prepares the state that it needs by fixtures, so that any of them can run alone and in any order.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest
from label_support import MODEL, LabelServer, require_environment

from lungseg.data import phantom
from lungseg.io import write_png

NAMES = [f"study-{number}" for number in range(8)]
SIZE = (96, 72)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies to train on")
    for number, name in enumerate(NAMES):
        write_png(folder / f"{name}.png", phantom((5, number), SIZE)[0])
    return folder


@pytest.fixture(scope="module")
def running_server(studies, run_folder, dataset):
    """A server that starts with the tiny network, and has the data that it was trained on."""
    require_environment()
    with LabelServer(studies, "--weights", run_folder, "--replay-data", dataset) as running:
        yield running


@pytest.fixture
def server(running_server):
    """The server with version 0 active and no training running."""

    def is_stopped() -> bool:
        # A training whose process does not run yet is not stopped.
        running_server.ask("DELETE", "/train/")
        return running_server.get("/train/").json.get("status") not in ("SUBMITTED", "RUNNING")

    running_server.wait(is_stopped)
    running_server.post("/lungseg/versions/0/activate")
    return running_server


@pytest.fixture
def unlabelled(server):
    """The server without final labels."""
    for name in NAMES:
        server.ask("DELETE", f"/datastore/label?id={name}&tag=final")
    server.wait(lambda: not any(labels_of(server).values()))
    return server


@pytest.fixture
def labelled(server):
    """The server with a correct final label for each study."""
    for number, name in enumerate(NAMES):
        assert server.save(name, phantom((5, number), SIZE)[1]).status == 200
    return server


@pytest.fixture
def new_version(labelled) -> dict:
    """Return the record of a version besides the first, trained unless another test has trained one."""
    trained = versions(labelled)["versions"][1:]
    return trained[-1] if trained else train(labelled, epochs=3, learning_rate=0.003, replay_ratio=0.5)


def train(server, **settings) -> dict:
    """Train a new version, and return its record."""
    server.post(f"/train/{MODEL}", settings)
    task = finished(server)
    assert task["status"] == "DONE", task
    return versions(server)["versions"][-1]


def finished(server) -> dict:
    """Wait for the running training, and return its task."""
    server.wait(lambda: server.get("/train/").json["status"] in ("DONE", "ERROR", "STOPPED"))
    return server.get("/train/").json


def versions(server) -> dict:
    return server.get("/lungseg/versions").json


def run_of(server, number: int) -> Path:
    return server.work / "versions" / f"{number:04d}"


def labels_of(server) -> dict[str, list[str]]:
    listed = server.get("/datastore/", output="all").json["objects"]
    return {name: sorted(study["labels"]) for name, study in listed.items()}


def digest(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def painted(number: int) -> np.ndarray:
    return phantom((5, number), SIZE)[1]


def collapsed(number: int) -> np.ndarray:
    """Return lungs of which one has a tenth of the area of both."""
    lungs = painted(number)
    rows = np.flatnonzero((lungs == 2).any(axis=1))
    lungs[rows[len(rows) // 4] :] *= lungs[rows[len(rows) // 4] :] == 1
    assert 0.01 < np.mean(lungs[lungs > 0] == 2) < 0.3
    return lungs


REFUSED = {
    "too few": (4, painted, "4 final labels are too few"),
    "empty": (8, lambda number: 0 * painted(number), "no usable case"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_labels_that_cannot_be_trained_on_are_refused_in_words(unlabelled, kind):
    count, label, words = REFUSED[kind]
    before = versions(unlabelled)
    for number in range(count):
        assert unlabelled.save(NAMES[number], label(number)).status == 200
    unlabelled.post("/train/")
    task = finished(unlabelled)
    assert task["status"] == "ERROR"
    assert words in task["details"][-1]
    assert not any("Traceback" in line for line in task["details"]), task["details"]
    assert versions(unlabelled) == before


ACCEPTED = {
    "collapsed": collapsed,
    "one lung alone": lambda number: painted(number) * (painted(number) == 1 + number % 2),
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_sides_that_were_painted_are_trained_on(unlabelled, kind):
    for number, name in enumerate(NAMES):
        assert unlabelled.save(name, ACCEPTED[kind](number)).status == 200
    record = train(unlabelled, epochs=1, replay_ratio=0.5)
    assert sum(section["labels"] for section in record["counts"].values()) == len(NAMES)
    assert record["held_out"]["n"] == record["counts"]["test"]["labels"]


def test_one_training_runs_at_a_time(labelled):
    labelled.post(f"/train/{MODEL}", {"epochs": 400, "patience": 400})
    assert labelled.post(f"/train/{MODEL}").status == 429
    assert labelled.post("/train/other").status == 404


def test_a_training_makes_a_version_and_leaves_the_others_as_they_were(labelled, run_folder):
    earlier = [run_folder / "model.pt", *labelled.work.glob("versions/*/model.pt")]
    before = {path: digest(path) for path in earlier}
    record = train(labelled, epochs=3, learning_rate=0.003, replay_ratio=0.5)
    assert record["from"] == 0
    counts = record["counts"]
    assert sum(section["labels"] for section in counts.values()) == len(NAMES)
    assert counts["train"]["replay"] == round(0.5 * counts["train"]["labels"])
    assert counts["test"]["replay"] == 0
    assert record["held_out"]["n"] == counts["test"]["labels"]
    assert record["replay"]["n"] > 0
    better = record["held_out"]["new"] >= record["held_out"]["old"]
    better &= record["replay"]["new"] >= record["replay"]["old"] - 0.001
    assert record["better"] == better
    assert versions(labelled)["active"] == (record["version"] if better else 0)
    assert {path: digest(path) for path in earlier} == before
    assert digest(run_of(labelled, record["version"]) / "model.pt") == record["sha256"]


def test_a_call_activates_another_version(server, new_version):
    weights = {}
    for number in (new_version["version"], 0, new_version["version"]):
        assert server.post(f"/lungseg/versions/{number}/activate").json == {"active": number}
        result = server.infer("study-0", "json").json
        assert result["version"] == number
        assert weights.setdefault(number, result["weights"]) == result["weights"]
    assert len(set(weights.values())) == 2


@pytest.mark.safety("killed-training")
def test_a_killed_training_loses_nothing_and_is_resumed(labelled, run_folder):
    server, before = labelled, versions(labelled)
    files = [run_folder / "model.pt", *server.work.glob("versions/*/model.pt")]
    files += (server.work.parent / "labels" / "final").iterdir()
    digests = {path: digest(path) for path in files}
    earlier = set(server.work.glob("versions/0*"))
    server.post(f"/train/{MODEL}", {"epochs": 400, "patience": 400})
    run = server.wait(lambda: next(iter(set(server.work.glob("versions/0*")) - earlier), None))
    # Written after `last.pt`.
    server.wait(lambda: (run / "history.json").is_file())
    (training,) = (
        child
        for child in psutil.Process(server.process.pid).children(recursive=True)
        if "monailabel.interfaces.utils.app" in child.cmdline()
    )
    os.kill(training.pid, signal.SIGKILL)
    assert finished(server)["status"] == "ERROR"
    state = versions(server)
    assert (state["active"], state["versions"]) == (before["active"], before["versions"])
    assert state["training"]["version"] == int(run.name)
    assert server.infer("study-1").status == 200
    assert {path: digest(path) for path in files} == digests

    config = json.loads((run / "config.json").read_text())
    epochs = len(json.loads((run / "history.json").read_text()))
    (run / "config.json").write_text(json.dumps(config | {"epochs": epochs + 2}))
    record = train(server, resume=True)
    assert (record["version"], record["from"]) == (int(run.name), 0)
    history = json.loads((run / "history.json").read_text())
    assert [entry["epoch"] for entry in history] == list(range(epochs + 3))


def test_held_out_studies_stay_held_out(labelled, new_version):
    again = train(labelled, epochs=1)
    sections = json.loads((labelled.work / "sections.json").read_text())
    placed = [*sections["train"], *sections["validation"], *sections["test"]]
    assert sorted(placed) == NAMES
    held_out = {f"labelled/{name}" for name in sections["test"]}
    for version in (new_version, again):
        splits = json.loads((run_of(labelled, version["version"]) / "data" / "splits.json").read_text())
        assert set(splits["test"]) == held_out
        assert not held_out & {*splits["train"], *splits["validation"]}


def test_worse_weights_are_kept_and_not_activated(labelled):
    record = train(labelled, epochs=1, learning_rate=30.0)
    assert not record["better"]
    assert "not made active: no epoch was better" in record["reason"]
    assert versions(labelled)["active"] == 0


@pytest.mark.safety("killed-training")
def test_a_killed_server_starts_again_with_all_it_had(server, new_version):
    before, listed = versions(server), labels_of(server)
    server.kill(signal.SIGKILL)
    server.__exit__()
    server.__enter__()
    assert versions(server) == before
    assert labels_of(server) == listed


def test_a_study_that_is_renamed_into_the_folder_is_listed(server, studies):
    write_png(studies / ".part", phantom((6, 9), SIZE)[0])
    (studies / ".part").rename(studies / "renamed.png")
    server.wait(lambda: "renamed" in labels_of(server))
    (studies / "renamed.png").unlink()
    server.wait(lambda: "renamed" not in labels_of(server))


@pytest.fixture
def unlabelled_studies(labelled, studies):
    """Add four studies without labels, and remove them again."""
    files = {name: studies / f"{name}.png" for name in ("blank", "new-0", "new-1", "new-2")}
    write_png(files["blank"], np.full((96, 72), 100, np.uint8) + (np.arange(72) % 3).astype(np.uint8))
    for number in range(3):
        write_png(files[f"new-{number}"], phantom((6, number), SIZE)[0])
    yield set(files)
    for file in files.values():
        file.unlink()
    labelled.wait(lambda: not set(files) & set(labels_of(labelled)))


def test_strategies_choose_among_the_studies_without_a_label(server, unlabelled_studies):
    def scored() -> dict:
        listed = {one["id"]: one for one in server.get("/lungseg/studies").json}
        found = [listed.get(name) for name in unlabelled_studies]
        return listed if all(one and (one["quality"] is not None or one["error"]) for one in found) else {}

    qualities = {name: study["quality"] for name, study in server.wait(scored).items() if name in unlabelled_studies}
    worst = min((name for name, quality in qualities.items() if quality is not None), key=qualities.get)
    chosen = server.post("/activelearning/lowest-quality", {"client_id": "one"}).json
    assert chosen["id"] == worst
    assert chosen["path"].endswith(f"{worst}.png")
    # The first client has the worst study.
    assert server.post("/activelearning/lowest-quality", {"client_id": "two"}).json["id"] != worst
    assert server.post("/activelearning/random").json["id"] in unlabelled_studies
