# SPDX-License-Identifier: Apache-2.0
"""The settings of the network that a run's own config states; the config may be untrusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lungseg.utils.errors import LungsegError

_MODEL_KEYS = ("network_def", "image_size", "clahe", "threshold")


def model_settings(weights: Path) -> dict[str, Any]:
    """Return the network, input and threshold that the config beside weights in a run's folder states.

    Without such a config, or with another program's, the result is empty: the weights are for the bundle's network.

    Raises:
        LungsegError: the config is damaged, or would run code.
    """
    stored = weights.parent / "config.json"
    if not stored.is_file():
        return {}
    try:
        config = json.loads(stored.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LungsegError(
            "the run's config cannot be read", stored, "train again, or move the weights", code="config-unreadable"
        ) from error
    if not isinstance(config, dict) or not set(_MODEL_KEYS) <= set(config):
        return {}
    settings = {key: config[key] for key in _MODEL_KEYS}
    if not _is_harmless(settings):
        raise LungsegError(
            "this config would run code of its own",
            stored,
            "use weights with a plain network_def",
            code="config-runs-code",
        )
    return settings


def _is_harmless(value: object, key: str = "") -> bool:
    """Return whether an untrusted config holds only plain values and MONAI networks."""
    if isinstance(value, dict):
        return all(_is_harmless(part, name) for name, part in value.items())
    if isinstance(value, list):
        return all(_is_harmless(part) for part in value)
    if key == "_target_":
        return isinstance(value, str) and _is_network(value)
    return not (isinstance(value, str) and value.startswith(("$", "@", "%")))


def _is_network(target: str) -> bool:
    """Return whether a target names a MONAI network class; a network's module would give access to all its imports."""
    from monai.networks import nets
    from torch.nn import Module

    name = target.rpartition(".")[2]
    network = getattr(nets, name, None)
    if not (isinstance(network, type) and issubclass(network, Module)):
        return False
    return target in (name, f"{nets.__name__}.{name}", f"{network.__module__}.{name}")
