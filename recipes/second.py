# SPDX-License-Identifier: Apache-2.0
"""`python -m recipes.second`: train the network of `lungseg.quality.second_model`, a smaller one."""

from __future__ import annotations

import json
import shutil
import sys

from lungseg.model.paths import bundle_root, config_file
from lungseg.quality.second_model import SIZE
from recipes.command import add_trial, data_folder, parser, run

_EPOCHS = 30


def main(arguments: list[str] | None = None) -> None:
    """Train on the training lists, choose on the validation lists, and put the weights into the bundle."""
    options = parser("recipes.second", "Train the second network, whose disagreement is a feature of the quality.")
    add_trial(options)
    options.add_argument("--output", default="runs/second", help="folder of the run")
    options = options.parse_args(arguments)
    from lungseg.training.train import train

    network = json.loads(config_file("inference").read_text("utf-8"))["second_network_def"]
    settings = {
        "dataset_dir": data_folder(options),
        "network_def#channels": network["channels"],
        "network_def#strides": network["strides"],
        "image_size": SIZE,
        "epochs": 1 if options.trial else _EPOCHS,
        "seed": 1,
        "val_interval": 1 if options.trial else 4,
        "patience": _EPOCHS,
        "progress": False,
    }
    train(options.output, settings)
    if not options.trial:
        shutil.copyfile(f"{options.output}/model.pt", bundle_root() / "models" / "second.pt")


if __name__ == "__main__":
    sys.exit(run(main))
