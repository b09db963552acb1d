# SPDX-License-Identifier: Apache-2.0
"""Where the bundle lies: in the installed package, in the source tree, or around an unzipped package."""

from __future__ import annotations

import json
import os
from os import PathLike
from pathlib import Path

from lungseg.utils.errors import LungsegError

BUNDLE_NAME = "lung_cxr_segmentation"
_MODEL_KEYS = ("network_def", "image_size", "clahe", "threshold")


def bundle_root() -> Path:
    """Return the folder that holds the bundle's `configs` and `models`.

    Raises:
        LungsegError: the package was installed without its bundle.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "bundle", package.parent / "bundle", package.parent):
        if (folder / "configs" / "inference.json").is_file():
            return folder
    raise LungsegError("the package has no bundle beside it", package, "install lungseg again")


def config_file(name: str) -> Path:
    """Return the path of one of the bundle's configs, such as "train"."""
    return bundle_root() / "configs" / f"{name}.json"


def weights_file(choice: str | PathLike | None = None) -> Path:
    """Return the weight file that a user means.

    Args:
        choice: None or "shipped" for the shipped weights, "montgomery" for those that saw Montgomery County alone,
            else a file, or a run's folder, whose best weights are taken.
    """
    models = bundle_root() / "models"
    if choice is None or choice == "shipped":
        return models / "model.pt"
    if choice == "montgomery":
        return models / "model_montgomery.pt"
    path = Path(choice)
    return path / "model.pt" if os.path.isdir(path) else path


def model_settings(weights: Path) -> dict:
    """Return what a run's own config says about its network, input and threshold; for weights in a run's folder.

    Empty for weights that lie elsewhere, beside no config or another program's: those are of the bundle's network.

    Raises:
        LungsegError: the run's config is damaged, or would run code.
    """
    stored = weights.parent / "config.json"
    if not stored.is_file():
        return {}
    try:
        config = json.loads(stored.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LungsegError("the run's config cannot be read", stored, "train again, or move the weights") from error
    if not isinstance(config, dict) or not set(_MODEL_KEYS) <= set(config):
        return {}
    settings = {key: config[key] for key in _MODEL_KEYS}
    if not _is_harmless(settings):
        raise LungsegError("this config would run code of its own", stored, "use weights with a plain network_def")
    return settings


def _is_harmless(value, key: str = "") -> bool:
    """Say whether a part of a config, which may come from a stranger, is values and MONAI's networks alone."""
    if isinstance(value, dict):
        return all(_is_harmless(part, name) for name, part in value.items())
    if isinstance(value, list):
        return all(_is_harmless(part) for part in value)
    if key == "_target_":
        return isinstance(value, str) and _is_network(value)
    return not (isinstance(value, str) and value.startswith(("$", "@", "%")))


def _is_network(target: str) -> bool:
    """Say whether a target is a class of MONAI's networks; modules of networks lead on to all that they import."""
    from monai.networks import nets
    from torch.nn import Module

    name = target.rpartition(".")[2]
    network = getattr(nets, name, None)
    if not (isinstance(network, type) and issubclass(network, Module)):
        return False
    return target in (name, f"{nets.__name__}.{name}", f"{network.__module__}.{name}")
