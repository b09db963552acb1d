# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-subclassing-any=False
"""Training on the final labels: a new version of the weights, which becomes active if it is not worse.

MONAI Label runs it in a process of its own. If that process is killed, the existing weights stay as they are, and
`resume` continues after the last finished epoch.
"""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from monailabel.interfaces.tasks.train import TrainTask

from lungseg.evaluation.evaluate import evaluate
from lungseg.model.run_settings import model_settings
from lungseg.model.weights import weights_hash
from lungseg.training.train import train
from lungseg.utils.errors import LungsegError
from lungseg.workflows.label.store.json_files import read_json, write_json
from lungseg.workflows.label.store.model_versions import Version, Versions
from lungseg.workflows.label.tasks.acceptance import judge
from lungseg.workflows.label.tasks.training_snapshot import freeze, replay_source, snapshot_source

logger = logging.getLogger(__name__)
DEFAULTS: dict[str, int | float] = {
    "epochs": 20,
    "patience": 8,
    "learning_rate": 0.0001,
    "replay_ratio": 1.0,
    "tolerance": 0.001,
    "resume": False,
}
# The settings of a training and the contents of its snapshot, in the run's folder.
_SETTINGS = "training.json"


class LungsTrain(TrainTask):
    """Fine-tunes the active weights.

    Args:
        versions: gets the new version.
        workspace: the app's workspace.
        replay_data: folder of the data set that the first weights were trained on, or None.
        trust: the configs of weights and of stopped trainings may run code, as a program of their author would.
    """

    def __init__(self, versions: Versions, workspace: Path, replay_data: str | None, trust: bool = False) -> None:
        super().__init__("Train on the final labels; the new weights become active only if they are not worse")
        self.versions, self.workspace, self.trust = versions, Path(workspace), trust
        self.replay_data = Path(replay_data) if replay_data else None

    def config(self) -> dict[str, Any]:
        """Return the settings that a request can have, with their defaults."""
        return dict(DEFAULTS)

    def stats(self) -> dict[str, Any]:
        """Return the newest version's record, with its number."""
        newest = self.versions.all()[-1]
        return {"version": newest.number, "active": self.versions.active().number, **newest.record}

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train, compare, and return the record of the new version.

        Args:
            request: see `DEFAULTS`: at most `epochs`, fewer after `patience` epochs without an improvement;
                `learning_rate`; `replay_ratio`, the number of replayed cases to each label; `tolerance`, the largest
                drop of the mean Dice on the replay data's validation list that counts as not worse; `resume`, to
                continue a training that was stopped.
            datastore: has the labels.

        Raises:
            MONAILabelException: there are too few labels, or the data or weights cannot be used.
        """
        settings = DEFAULTS | {key: request[key] for key in DEFAULTS if key in request}
        try:
            run = self.versions.unfinished() if settings["resume"] else None
            if run is not None and not (run / _SETTINGS).is_file():
                logger.warning("%s: this training cannot be resumed; a new one begins", run)
                run = None
            if run is None:
                run = self._begin(settings, datastore)
            return self._finish(run)
        except LungsegError as error:
            raise MONAILabelException(MONAILabelError.INVALID_INPUT, str(error)) from error

    def _begin(self, settings: dict[str, Any], datastore: Datastore) -> Path:
        """Freeze the training data in the folder of a new run."""
        labels = [
            {"image": case["image"], "label": case["label"], "name": Path(case["label"]).name.removesuffix(".png")}
            for case in datastore.datalist()
        ]
        run = self.versions.new_run()
        ratio, number = float(settings["replay_ratio"]), int(run.name)
        sections = self.workspace / "sections.json"
        try:
            counts = freeze(labels, run / "data", sections, self._replay_source(run), ratio, seed=number)
            write_json(run / _SETTINGS, {"from": self.versions.active().number, "counts": counts, **settings})
        except BaseException:
            shutil.rmtree(run, ignore_errors=True)
            raise
        return run

    def _finish(self, run: Path) -> dict[str, Any]:
        """Train or resume, and compare the new weights with the old ones."""
        settings = read_json(run / _SETTINGS, {})
        old = self.versions.get(settings["from"])
        logger.info("Version %d: training on %s", int(run.name), settings["counts"])
        self._train(run, settings, old)
        logger.info("Version %d: comparing with version %d", int(run.name), old.number)
        record = {
            **settings,
            "sha256": weights_hash(run / "model.pt"),
            "held_out": self._compare(run / "held-out", "test", run, old, _snapshot(run)),
            "replay": self._compare_on_replay(run, old),
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        best_epoch = read_json(run / "run.json", {})["best"]["epoch"]
        held_out, replay, tolerance = record["held_out"], record["replay"], float(settings["tolerance"])
        record["better"], record["reason"] = judge(best_epoch, held_out, replay, tolerance)
        version = self.versions.finish(run, record)
        if record["better"]:
            self.versions.activate(version.number)
        logger.info("Version %d: %s", version.number, record["reason"])
        return {"version": version.number, **record}

    def _train(self, run: Path, settings: dict[str, Any], old: Version) -> None:
        if (run / "run.json").is_file():  # the training was finished, the comparison was not
            return
        if (run / "config.json").is_file():
            train(run, resume=True, trust=self.trust)
            return
        overrides = {
            **model_settings(old.weights, self.trust),
            **_snapshot(run),
            "epochs": int(settings["epochs"]),
            "patience": int(settings["patience"]),
            "learning_rate": float(settings["learning_rate"]),
            # Workers would take the cores from the people who annotate meanwhile.
            "num_workers": 0,
        }
        train(run, overrides, init=old.weights)

    def _replay_source(self, run: Path) -> dict[str, str] | None:
        if self.replay_data is None:
            return None
        return replay_source(self.replay_data, self.versions.get(0).weights, run / "replay.json")

    def _compare_on_replay(self, run: Path, old: Version) -> dict[str, float] | None:
        source = self._replay_source(run)
        if source is None:
            return None
        data = {"dataset_dir": source["dataset_dir"], "data_source#splits_file": source["splits_file"]}
        return self._compare(run / "replay", "validation", run, old, data)

    def _compare(self, folder: Path, section: str, run: Path, old: Version, data: dict[str, Any]) -> dict[str, float]:
        """Return the mean Dice of the lungs' union of both versions on the same cases, and the number of cases."""
        means: dict[str, float] = {}
        for name, weights in (("old", old.weights), ("new", run / "model.pt")):
            measured = evaluate(folder / name, section, weights, data, self.trust)
            figures = measured["overall"]["metrics"]["dice"]
            means[name], means["n"] = figures["mean"], figures["n"]
        return means


def _snapshot(run: Path) -> dict[str, Any]:
    """Return the settings that name a run's frozen data."""
    source = snapshot_source(run / "data")
    return {"dataset_dir": source.pop("dataset_dir")} | {f"data_source#{name}": one for name, one in source.items()}
