# SPDX-License-Identifier: Apache-2.0
"""Labels in, new weights out: versions, comparison, restoring, and trainings that are killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal

import numpy as np
import psutil
import pytest
from label_support import MODEL, LabelServer, require_environment

from lungseg.data import phantom
from lungseg.io import write_png

COUNT = 8


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("to learn from")
    for number in range(COUNT):
        write_png(folder / f"study-{number}.png", phantom((5, number), (96, 72))[0])
    return folder


@pytest.fixture(scope="module")
def server(studies, run_folder, dataset):
    """A server that begins with the tiny network, and has the data that it was trained on."""
    require_environment()
    with LabelServer(studies, "--weights", run_folder, "--replay-data", dataset) as running:
        yield running


def digest(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def trained(server) -> dict:
    """Wait for the training that runs, and return its task."""
    server.wait(lambda: server.get("/train/").json["status"] in ("DONE", "ERROR", "STOPPED"))
    return server.get("/train/").json


def test_too_few_labels_are_refused_in_words(server):
    server.post(f"/train/{MODEL}")
    task = trained(server)
    assert task["status"] == "ERROR"
    assert any("too few to train" in line for line in task["details"])
    assert server.get("/lungseg/versions").json == {
        "active": 0,
        "versions": [{"version": 0, "from": None}],
        "training": None,
    }


def test_labels_that_cannot_be_used_are_refused_in_words(server):
    for number in range(COUNT):
        assert server.save(f"study-{number}", np.zeros((72, 96), np.uint8)).status == 200
    server.post(f"/train/{MODEL}")
    task = trained(server)
    assert task["status"] == "ERROR"
    assert any("MONAILabelException" in line and "can be used" in line for line in task["details"]), task["details"]
    assert server.get("/lungseg/versions").json["training"] is None


def test_a_training_makes_a_version_and_leaves_the_others_as_they_were(server, run_folder):
    before = digest(run_folder / "model.pt")
    for number in range(COUNT):
        assert server.save(f"study-{number}", phantom((5, number), (96, 72))[1]).status == 200
    server.post(f"/train/{MODEL}", {"epochs": 3, "learning_rate": 0.003, "replay_ratio": 0.5})
    assert server.post(f"/train/{MODEL}").status == 429  # one at a time
    assert server.post("/train/other").status == 404
    task = trained(server)
    assert task["status"] == "DONE", task
    assert any("epoch=3" in line for line in task["details"]) or any("Version 1" in line for line in task["details"])

    told = server.get("/lungseg/versions").json
    first = told["versions"][1]
    assert first["from"] == 0
    assert sum(section["labels"] for section in first["counts"].values()) == COUNT
    assert first["counts"]["train"]["original"] == round(0.5 * first["counts"]["train"]["labels"])
    assert first["counts"]["test"]["original"] == 0
    assert first["held_out"]["n"] == first["counts"]["test"]["labels"]
    assert first["original"]["n"] > 0
    better = first["held_out"]["new"] >= first["held_out"]["old"]
    better &= first["original"]["new"] >= first["original"]["old"] - 0.001
    assert first["better"] == better
    assert told["active"] == int(better)
    assert digest(run_folder / "model.pt") == before
    assert digest(server.work / "versions" / "0001" / "model.pt") == first["sha256"]


def test_an_earlier_version_is_brought_back_by_a_call(server):
    names = {}
    for number in (1, 0, 1):
        assert server.post(f"/lungseg/versions/{number}/activate").json == {"active": number}
        told = server.infer("study-0", "json").json
        assert told["version"] == number
        assert names.setdefault(number, told["weights"]) == told["weights"]
    assert names[0] != names[1]
    server.post("/lungseg/versions/0/activate")


def test_a_killed_training_loses_nothing_and_is_gone_on_with(server, run_folder):
    whole = {path: digest(path) for path in (run_folder / "model.pt", server.work / "versions" / "0001" / "model.pt")}
    labels = {path: digest(path) for path in (server.work.parent / "labels" / "final").iterdir()}
    server.post(f"/train/{MODEL}", {"epochs": 400, "patience": 400})
    run = server.work / "versions" / "0002"
    server.wait(lambda: (run / "history.json").is_file())
    (training,) = (
        child
        for child in psutil.Process(server.process.pid).children(recursive=True)
        if "monailabel.interfaces.utils.app" in child.cmdline()
    )
    os.kill(training.pid, signal.SIGKILL)
    assert trained(server)["status"] == "ERROR"
    told = server.get("/lungseg/versions").json
    assert (told["active"], len(told["versions"]), told["training"]["version"]) == (0, 2, 2)
    assert server.infer("study-1").status == 200
    for path, before in (whole | labels).items():
        assert digest(path) == before

    config = json.loads((run / "config.json").read_text())
    epochs = len(json.loads((run / "history.json").read_text()))
    (run / "config.json").write_text(json.dumps(config | {"epochs": epochs + 2}))
    server.post(f"/train/{MODEL}", {"resume": True})
    assert trained(server)["status"] == "DONE"
    history = json.loads((run / "history.json").read_text())
    assert [entry["epoch"] for entry in history] == list(range(1, epochs + 3))
    assert server.get("/lungseg/versions").json["versions"][2]["from"] == 0


def test_labels_of_all_tests_stay_held_out(server):
    sections = json.loads((server.work / "sections.json").read_text())
    placed = [*sections["train"], *sections["validation"], *sections["test"]]
    assert sorted(placed) == [f"study-{number}" for number in range(COUNT)]
    for version in ("0001", "0002"):
        splits = json.loads((server.work / "versions" / version / "data" / "splits.json").read_text())
        held_out = {f"labelled/{name}" for name in sections["test"]}
        assert set(splits["test"]) == held_out
        assert not held_out & {*splits["train"], *splits["validation"]}


def test_weights_that_are_worse_are_kept_but_not_used(server):
    server.post("/lungseg/versions/0/activate")
    server.post(f"/train/{MODEL}", {"epochs": 1, "learning_rate": 30.0})
    assert trained(server)["status"] == "DONE"
    newest = server.get("/lungseg/versions").json
    assert newest["active"] == 0
    assert not newest["versions"][-1]["better"]
    assert "kept, not made active" in newest["versions"][-1]["reason"]


def test_the_killed_server_starts_again_with_all_it_had(server):
    before = server.get("/lungseg/versions").json
    listed = labels_of(server)
    server.kill(signal.SIGKILL)
    server.__exit__()
    server.__enter__()
    assert server.get("/lungseg/versions").json == before
    assert labels_of(server) == listed


def labels_of(server) -> dict[str, list[str]]:
    listed = server.get("/datastore/", output="all").json["objects"]
    return {name: sorted(study["labels"]) for name, study in listed.items()}


def test_a_study_that_is_written_under_another_name_first_is_listed(server, studies):
    write_png(studies / ".part", phantom((6, 9), (96, 72))[0])
    (studies / ".part").rename(studies / "renamed.png")
    server.wait(lambda: "renamed" in labels_of(server), 30)
    (studies / "renamed.png").unlink()
    server.wait(lambda: "renamed" not in labels_of(server), 30)


def test_strategies_choose_among_what_has_no_label(server, studies):
    write_png(studies / "blank.png", np.full((96, 72), 100, np.uint8) + (np.arange(72) % 3).astype(np.uint8))
    for number in range(3):
        write_png(studies / f"new-{number}.png", phantom((6, number), (96, 72))[0])
    fresh = {"blank", "new-0", "new-1", "new-2"}

    def looked_at() -> dict:
        listed = {one["id"]: one for one in server.get("/lungseg/studies").json}
        ready = fresh <= set(listed) and all(
            listed[name]["quality"] is not None or listed[name]["error"] for name in fresh
        )
        return listed if ready else {}

    listed = server.wait(looked_at)
    worst = min(
        (name for name in fresh if listed[name]["quality"] is not None), key=lambda name: listed[name]["quality"]
    )
    chosen = server.post("/activelearning/unsure", {"client_id": "one"}).json
    assert chosen["id"] == worst
    assert chosen["path"].endswith(f"{worst}.png")
    assert server.post("/activelearning/unsure", {"client_id": "two"}).json["id"] != worst  # one has it
    assert server.post("/activelearning/different", {"client_id": "one"}).json["id"] in fresh
    assert server.post("/activelearning/random").json["id"] in fresh
