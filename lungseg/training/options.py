# SPDX-License-Identifier: Apache-2.0
"""Options of a training by the names that people type, as items of the bundle's config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

# Option -> item of `train.json`, in the order in which a config states them.
ITEMS = {
    "epochs": "epochs",
    "batch_size": "batch_size",
    "lr": "learning_rate",
    "loss": "loss",
    "seed": "seed",
    "amp": "amp",
    "network": "network_def",
    "image_size": "image_size",
    "device": "device",
    "workers": "num_workers",
}


def training_items(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return items of `train.json` and their values.

    Args:
        options: option -> value, by the names of `ITEMS`; None is an option that is not given, and so is "auto" for the
            device.

    Raises:
        UsageError: there is no such network, loss or device.
    """
    given = {name: options[name] for name in ITEMS if options.get(name) is not None}
    if given.get("device") == "auto":
        del given["device"]
    return {ITEMS[name]: _DEFINITIONS.get(name, _as_it_is)(value) for name, value in given.items()}


def _as_it_is(value: Any) -> Any:
    return value


def _network(choice: str) -> dict[str, Any]:
    from lungseg.model.networks import network_definition

    return network_definition(choice)


def _loss(choice: str) -> dict[str, Any]:
    from lungseg.training.loss_names import loss_definition

    return loss_definition(choice)


def _device(name: str) -> str:
    from lungseg.inference.devices import choose_device

    choose_device(name)
    return name


_DEFINITIONS: dict[str, Callable[[Any], Any]] = {"network": _network, "loss": _loss, "device": _device}
