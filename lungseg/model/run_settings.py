# SPDX-License-Identifier: Apache-2.0
"""What a run's own config says about its network."""

from __future__ import annotations

import json
from pathlib import Path

from lungseg.utils.errors import LungsegError

_MODEL_KEYS = ("network_def", "image_size", "clahe", "threshold")


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
