# SPDX-License-Identifier: Apache-2.0
"""`lungseg.train`: the command `lungseg train` as a function."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, Unpack

from lungseg.data.options import DataOptions, data_items
from lungseg.utils.imports import import_monai_without_deploy

import_monai_without_deploy()

from lungseg.training import train as training  # noqa: E402
from lungseg.training.options import training_items  # noqa: E402


def train(
    data: str | PathLike[str] | None = None,
    output: str | PathLike[str] = "runs/lungs",
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    loss: str | None = None,
    network: str | None = None,
    image_size: int | None = None,
    device: str = "auto",
    amp: bool | None = None,
    workers: int | None = None,
    seed: int | None = None,
    init: str | PathLike[str] | None = None,
    resume: bool = False,
    config: Mapping[str, Any] | None = None,
    trust: bool = False,
    **options: Unpack[DataOptions],
) -> dict[str, Any]:
    """Train on a folder of radiographs and masks, as the command `lungseg train` does, or continue a run.

    Args:
        data: folder of the data set.
        output: folder of the run; see :func:`lungseg.training.train.train` for its files.
        epochs: largest number of passes over the training list.
        batch_size: images in a step.
        lr: learning rate at the start.
        loss: a name of :data:`lungseg.training.loss_names.LOSSES`, or the path of a class.
        network: a name of :data:`lungseg.model.networks.NETWORKS`, or the path of a class.
        image_size: pixels of the shorter side, as the network sees it.
        device: "auto", "cpu", "cuda" or "cuda:1".
        amp: mixed precision.
        workers: processes that prepare images; 0 for none.
        seed: of the initial weights, the order and the augmentation, and of lists that are drawn.
        init: weights to start from: "shipped", "open", a file, or the folder of a run.
        resume: continue the run in `output` with its settings; `epochs`, `device`, `workers`, `trust` and, in `config`,
            {"patience": 40} and {"cache": "disk"} can be given too.
        config: further items of `train.json` and their values, such as {"optimizer#weight_decay": 0.001}.
        trust: a run that is continued may run code of its own.
        options: see :class:`lungseg.data.options.DataOptions`.

    Returns:
        The content of `run.json`: versions, seed, hash of the data, the best epoch's figures, and the config.

    Raises:
        UsageError: no data set is named, an option or an item is unknown, or the folder holds a run already.
        LungsegError: the data or the weights cannot be used, or the disk is full.
    """
    given = {
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "loss": loss,
        "network": network,
        "image_size": image_size,
        "device": device,
        "amp": amp,
        "workers": workers,
        "seed": seed,
    }
    stated = data_items(data, options, required=not resume) | training_items(given)
    # Items of a part of a network come after the network.
    return training.train(output, stated | dict(config or {}) | stated, init, resume, trust)
