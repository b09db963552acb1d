# SPDX-License-Identifier: Apache-2.0
"""The commands that come after a training, ready to paste."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from lungseg.utils.errors import LungsegError

_OPTIONS = {
    "images": "--images",
    "masks": "--masks",
    "image_prefix": "--image-prefix",
    "image_suffix": "--image-suffix",
    "mask_prefix": "--mask-prefix",
    "mask_suffix": "--mask-suffix",
    "labels": "--labels",
    "sets": "--datasets",
    "splits_file": "--splits",
    "patients": "--patients",
}
# Items of the data source that other options or the run itself state.
_OTHER = ("dataset_dir", "seed", "exclude", "run_splits")
# Items of the network, which weights cannot do without.
_NETWORK = ("image_size", "clahe")


def next_steps(run: str, config: Mapping[str, Any]) -> list[str]:
    """Return commands that measure the weights of a run, use them, and train on from them.

    Args:
        run: its folder, as the user named it.
        config: the run's own.
    """
    from lungseg.data.splits import RUN_SPLITS, read_split
    from lungseg.model.config import read_config
    from lungseg.model.paths import config_file

    own = read_config([config_file("train")], {})
    options, settings = _data(config, own["data_source"])
    split = [] if read_split(Path(run) / RUN_SPLITS)["test"] else ["--split", "validation"]
    predicted = _folder_of_images(Path(run) / RUN_SPLITS, config)
    further = _settings([*settings, *_network(config, own)])
    following = next(name for number in range(2, 1000) if not os.path.exists(name := f"{run.rstrip(os.sep)}-{number}"))
    commands = [
        ["evaluate", *options, *split, "--weights", run, "-o", os.path.join(run, "evaluation"), *_settings(settings)],
        ["predict", predicted, "--weights", run, "-o", os.path.join(run, "predicted")],
        ["train", *options, "--init", run, "-o", following, *further],
    ]
    return [shlex.join(["lungseg", *command]) for command in commands]


def _data(config: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the options that name the data of a run, and the settings that have no option."""
    source = config["data_source"]
    stated = {name: value for name, value in source.items() if name not in _OTHER and value != own.get(name)}
    options = [] if source["images"] else ["--data", config["dataset_dir"]]
    for name, option in _OPTIONS.items():
        if name in stated:
            value = stated.pop(name)
            options += [option, *(value if isinstance(value, list) else [str(value)])]
    return options, [f"data_source#{name}={_text(value)}" for name, value in stated.items()]


def _network(config: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """Return the settings of a run's network that are not the bundle's; the weights give its channels of output."""
    settings = [f"{name}={_text(config[name])}" for name in _NETWORK if config[name] != own[name]]
    network, usual = config["network_def"], own["network_def"]
    if network["_target_"] != usual["_target_"] or not set(network) <= set(usual):
        return [*settings, f"network_def={_text(network)}"]
    changed = {name: value for name, value in network.items() if name != "out_channels" and value != usual[name]}
    return [*settings, *(f"network_def#{name}={_text(value)}" for name, value in changed.items())]


def _settings(settings: list[str]) -> list[str]:
    return ["--config", *settings] if settings else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _folder_of_images(lists: Path, config: Mapping[str, Any]) -> str:
    """Return a folder of radiographs: where the test list lies, or else the validation list."""
    from monai.bundle import ConfigParser

    from lungseg.data import datalist

    source = ConfigParser(deepcopy(dict(config))).get_parsed_content("data_source") | {"run_splits": str(lists)}
    for section in ("test", "validation"):
        try:
            return os.path.dirname(str(datalist(section=section, **source)[0]["image"]))
        except LungsegError:  # a few pairs have no test list
            continue
    return str(source["images"] or source["dataset_dir"])
