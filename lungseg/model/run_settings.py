# SPDX-License-Identifier: Apache-2.0
"""The settings of the network that a run's own config states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lungseg.model.paths import config_file
from lungseg.model.trust import check_values_only
from lungseg.utils.errors import LungsegError

_MODEL_KEYS = ("network_def", "image_size", "clahe", "threshold")


def model_settings(weights: Path, trust: bool = False) -> dict[str, Any]:
    """Return the network, input and threshold that the config beside weights in a run's folder states.

    Without such a config, or with another program's, the result is empty: the weights are for the bundle's network.

    Args:
        weights: their file.
        trust: the settings may run code, as a program of the run's author would; see :mod:`lungseg.model.trust`.

    Raises:
        LungsegError: the config is damaged (config-unreadable), or would run code (config-runs-code).
    """
    stored = weights.parent / "config.json"
    if not stored.is_file():
        return {}
    try:
        config = json.loads(stored.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise LungsegError(
            "the run's config cannot be read", stored, "train again, or move the weights", code="config-unreadable"
        ) from error
    if not isinstance(config, dict) or not set(_MODEL_KEYS) <= set(config):
        return {}
    settings = {key: config[key] for key in _MODEL_KEYS}
    if not trust:
        own = json.loads(config_file("inference").read_text(encoding="utf-8"))
        check_values_only(settings, {key: own[key] for key in _MODEL_KEYS}, stored)
    return settings
