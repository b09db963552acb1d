# SPDX-License-Identifier: Apache-2.0
"""Training on the final labels: a new version of the weights, which becomes the active one if it is not worse.

MONAI Label runs it in a process of its own. Whatever happens to that process, the weights that were there stay as they
are, and `resume` goes on after the last epoch that was finished.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from monailabel.interfaces.tasks.train import TrainTask

from lungseg.evaluation.evaluate import evaluate
from lungseg.model.run_settings import model_settings
from lungseg.model.weights import weights_hash
from lungseg.training.train import train
from lungseg.utils.errors import LungsegError
from lungseg.workflows.label.store.model_versions import Version, Versions
from lungseg.workflows.label.store.workspace import read_json, write_json
from lungseg.workflows.label.tasks.training_snapshot import freeze, replay_source

DEFAULTS = {
    "epochs": 20,
    "patience": 8,
    "learning_rate": 0.0001,
    "replay_ratio": 1.0,
    "tolerance": 0.001,
    "resume": False,
}


class LungsTrain(TrainTask):
    """Fine-tunes the active weights.

    Args:
        versions: gets the new one.
        work: the work folder.
        original: folder of the data set that the first weights were trained on, or None.
    """

    def __init__(self, versions: Versions, work: Path, original: str | None) -> None:
        super().__init__("Learn from the final labels; the new weights are used only if they are not worse")
        self.versions, self.work = versions, Path(work)
        self.original = Path(original) if original else None

    def config(self) -> dict:
        """Return what a request may set, with its defaults."""
        return dict(DEFAULTS)

    def stats(self) -> dict:
        """Return the newest version's record, with its number."""
        newest = self.versions.all()[-1]
        return {"version": newest.number, "active": self.versions.active().number, **newest.record}

    def __call__(self, request: dict, datastore: Datastore) -> dict:
        """Train, compare, and return the record of the new version.

        Args:
            request: see `DEFAULTS`: `epochs` at most, ended early by `patience` epochs without a better one;
                `learning_rate`; `replay_ratio`, so many original cases to each label; `tolerance`, the drop of the
                mean Dice on the original list that still counts as not worse; `resume`, to go on with a training that
                was stopped.
            datastore: has the labels.

        Raises:
            MONAILabelException: there are too few labels, or the data or weights cannot be used.
        """
        settings = DEFAULTS | {key: request[key] for key in DEFAULTS if key in request}
        try:
            run = self.versions.unfinished() if settings["resume"] else None
            if run is None or not (run / "lessons.json").is_file():
                run = self._begin(settings, datastore)
            return self._finish(run)
        except LungsegError as error:
            raise MONAILabelException(MONAILabelError.INVALID_INPUT, str(error)) from error

    def _begin(self, settings: dict, datastore: Datastore) -> Path:
        """Freeze what is to be learnt in the folder of a new run."""
        labels = [
            {"image": case["image"], "label": case["label"], "name": Path(case["label"]).name.removesuffix(".png")}
            for case in datastore.datalist()
        ]
        run = self.versions.new_run()
        share, number = float(settings["replay_ratio"]), int(run.name)
        sections = self.work / "sections.json"
        try:
            counts = freeze(labels, run / "data", sections, self._original(run), share, seed=number)
            write_json(run / "lessons.json", {"from": self.versions.active().number, "counts": counts, **settings})
        except BaseException:
            shutil.rmtree(run, ignore_errors=True)
            raise
        return run

    def _finish(self, run: Path) -> dict:
        """Train, or go on with training, and judge."""
        lessons = read_json(run / "lessons.json", {})
        old = self.versions.get(lessons["from"])
        print(f"Version {int(run.name)}: learning from {lessons['counts']}", flush=True)
        self._train(run, lessons, old)
        print(f"Version {int(run.name)}: comparing with version {old.number}", flush=True)
        record = {
            **lessons,
            "sha256": weights_hash(run / "model.pt"),
            "held_out": self._compare(run / "held-out", "test", run, old, _frozen(run)),
            "original": self._on_original(run, old),
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        record["better"], record["reason"] = _judge(record, float(lessons["tolerance"]))
        version = self.versions.finish(run, record)
        if record["better"]:
            self.versions.activate(version.number)
        print(f"Version {version.number}: {record['reason']}", flush=True)
        return {"version": version.number, **record}

    def _train(self, run: Path, lessons: dict, old: Version) -> None:
        if (run / "run.json").is_file():  # trained to the end, and stopped while comparing
            return
        if (run / "config.json").is_file():
            train(run, resume=True)
            return
        overrides = {
            **model_settings(old.weights),
            **_frozen(run),
            "epochs": int(lessons["epochs"]),
            "patience": int(lessons["patience"]),
            "learning_rate": float(lessons["learning_rate"]),
            # Workers would take the cores from those who annotate meanwhile.
            "num_workers": 0,
        }
        train(run, overrides, init=old.weights)

    def _original(self, run: Path) -> dict | None:
        if self.original is None:
            return None
        return replay_source(self.original, self.versions.get(0).weights, run / "original.json")

    def _on_original(self, run: Path, old: Version) -> dict | None:
        source = self._original(run)
        if source is None:
            return None
        data = {"dataset_dir": source["dataset_dir"], "data_source#splits_file": source["splits_file"]}
        return self._compare(run / "original", "validation", run, old, data)

    def _compare(self, folder: Path, section: str, run: Path, old: Version, data: dict) -> dict:
        """Return the mean Dice of the lungs' union of both versions on the same cases, and how many these are."""
        means = {}
        for name, weights in (("old", old.weights), ("new", run / "model.pt")):
            figures = evaluate(folder / name, section, weights, data)["overall"]["metrics"]["dice"]
            means[name], means["n"] = figures["mean"], figures["n"]
        return means


def _frozen(run: Path) -> dict:
    """Return the settings that name a run's frozen data."""
    return {"dataset_dir": str(run / "data"), "data_source#splits_file": str(run / "data" / "splits.json")}


def _judge(record: dict, tolerance: float) -> tuple[bool, str]:
    """Return whether the new weights are not worse, and the reason in words."""
    told = []
    for where, means, allowed in (
        ("the held-out labels", record["held_out"], 0.0),
        ("the original validation list", record["original"], tolerance),
    ):
        if means is None:
            told.append("the original data are not at hand to compare on")
            continue
        told.append(f"on {where} ({means['n']}) the mean Dice goes from {means['old']:.4f} to {means['new']:.4f}")
        if means["new"] < means["old"] - allowed:
            return False, f"kept, not made active: {told[-1]}"
    return True, f"made active: {'; '.join(told)}"
