# SPDX-License-Identifier: Apache-2.0
"""`python -m recipes.model_start`: train the weights of the bundle, or of one hospital alone, by `train.json`.

Only the differences from its defaults are here: the number of epochs, the excluded references, and the average of the
best and the last weights.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lungseg.model.paths import bundle_root
from lungseg.model.weights import load_weights, save_checkpoint
from lungseg.utils.files import atomic_path
from recipes.command import add_trial, data_folder, parser, run
from recipes.excluded_references import TRAIN


class Recipe(NamedTuple):
    """The data sets and the length of a training, and the weights' file in the bundle, if they are shipped."""

    sets: list[str] | None
    epochs: int
    val_interval: int
    file: str | None


RECIPES = {
    "both": Recipe(None, 200, 5, "model.pt"),
    "montgomery": Recipe(["montgomery"], 350, 10, "model_montgomery.pt"),
    "shenzhen": Recipe(["shenzhen"], 150, 5, None),
}
# Keys of the config in which two runs differ; the rest is `train.json`, or paths.
_RECORDED = ("batch_size", "learning_rate", "image_size", "clahe", "amp", "num_workers", "epochs", "val_interval")


def main(arguments: list[str] | None = None) -> None:
    """Train, or go on, and put the weights and the log into the bundle."""
    options = parser("recipes.model_start", "Train the weights that are shipped.")
    add_trial(options)
    options.add_argument("name", choices=list(RECIPES), help="hospitals to train on")
    options.add_argument("--output", help="folder of the run (default: runs/NAME)")
    options.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    options = options.parse_args(arguments)
    from lungseg.training.train import train

    recipe, output = RECIPES[options.name], Path(options.output or f"runs/{options.name}")
    if options.resume:
        record = train(output, resume=True)
    else:
        record = train(output, settings(recipe, data_folder(options), options.trial))
    mean = average(output)
    if recipe.file and not options.trial:
        keep(record, output, mean, recipe.file)


def settings(recipe: Recipe, data: str, trial: bool = False) -> dict:
    """Return the recipe as overrides of `train.json`."""
    return {
        "dataset_dir": data,
        "data_source#sets": recipe.sets,
        "data_source#exclude": sorted(TRAIN),
        "epochs": 1 if trial else recipe.epochs,
        "val_interval": 1 if trial else recipe.val_interval,
        # Early stopping is off: the best epoch of the whole cosine schedule is kept.
        "patience": recipe.epochs,
        "num_workers": 1,
        "progress": False,
    }


def average(output: Path) -> Path:
    """Write the mean of a run's best and last weights to `mean.pt` in its folder, and return that file.

    Means of weights along one training generalise better than either (Izmailov et al., 2018).
    """
    import torch

    last = torch.load(output / "last.pt", map_location="cpu", weights_only=True)["state"]["ema"]["model"]
    save_mean([load_weights(output / "model.pt"), last], output / "mean.pt")
    return output / "mean.pt"


def save_mean(weights: Sequence[dict], file: Path) -> None:
    """Write the mean of some weights, name -> tensor each."""
    mean = {}
    for name, first in weights[0].items():
        mean[name] = (sum(one[name].double() for one in weights) / len(weights)).to(first.dtype)
    save_checkpoint(mean, file)


def keep(record: dict, output: Path, weights: Path, file: str) -> None:
    """Put a run's weights into the bundle as `file`, its record into the log, and the curves of the main ones."""
    root = bundle_root()
    shutil.copyfile(weights, root / "models" / file)
    if file == RECIPES["both"].file:
        shutil.copyfile(output / "curves.png", root / "docs" / "curves.png")
    config = record.pop("config")
    record["settings"] = {key: config[key] for key in _RECORDED}
    record["history"] = json.loads((output / "history.json").read_text("utf-8"))
    log_training(file, record)


def log_training(name: str, record: dict) -> None:
    """Keep the record of a training in the bundle's log under a name."""
    log = bundle_root() / "docs" / "training_log.json"
    with atomic_path(log) as path:
        path.write_text(json.dumps(json.loads(log.read_text("utf-8")) | {name: record}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(run(main))
