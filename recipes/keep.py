# SPDX-License-Identifier: Apache-2.0
"""`python -m recipes.keep runs/model model`: put the weights of a run, its lists and its log into the bundle.

The weights of `recipes/start.json` are only a start for others: their log alone is kept.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from lungseg.model.paths import bundle_root, lists_file, weights_file
from lungseg.utils.files import atomic_path
from recipes.command import run

# Items of the config in which the recipes differ.
_RECORDED = (
    "init",
    "batch_size",
    "epoch_size",
    "learning_rate",
    "epochs",
    "val_interval",
    "amp",
    "compiled",
)


def main(arguments: list[str] | None = None) -> None:
    """Copy the weights and the lists, add the log, and for `model` the curves."""
    options = argparse.ArgumentParser(prog="python -m recipes.keep", description=__doc__)
    options.add_argument("run", type=Path, help="folder of the run")
    options.add_argument("name", choices=["model", "open", "start"], help="name of its recipe")
    options = options.parse_args(arguments)
    root = bundle_root()
    if options.name == "start":
        weights = Path(options.name)
    else:
        weights = weights_file("shipped" if options.name == "model" else options.name)
        shutil.copyfile(options.run / "model.pt", weights)
        shutil.copyfile(options.run / "splits.json", lists_file(weights))
    if options.name == "model":
        shutil.copyfile(options.run / "curves.png", root / "docs" / "curves.png")
    record = json.loads((options.run / "run.json").read_text("utf-8"))
    config = record.pop("config")
    record["settings"] = {key: config[key] for key in _RECORDED}
    # The folder of the first run is that of this machine only; its last part is its name.
    record["settings"]["init"] = config["init"] and Path(config["init"]).parent.name
    record["history"] = json.loads((options.run / "history.json").read_text("utf-8"))
    log = root / "docs" / "training_log.json"
    content = json.loads(log.read_text("utf-8")) | {weights.name: record}
    with atomic_path(log) as path:
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run(main))
