# SPDX-License-Identifier: Apache-2.0
"""The device that computes."""

from __future__ import annotations

import os

import torch

from lungseg.utils.errors import UsageError


def choose_device(name: str) -> torch.device:
    """Return the device called `name`: "cpu", "cuda", "cuda:1" …, or "auto" for CUDA where there is one.

    Processes that `torchrun` started take one GPU each, by their local rank.

    Raises:
        UsageError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"there is no device called {name!r}", remedy="use auto, cpu or cuda") from error
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise UsageError(f"{name!r} is no device that is made use of here", remedy="use auto, cpu or cuda")
    if not torch.cuda.is_available():
        raise UsageError("this PyTorch finds no CUDA device", remedy="use --device cpu")
    count = torch.cuda.device_count()
    if device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % count)
    if device.index >= count:
        raise UsageError(f"there is no device {name!r}, only {count} of CUDA", remedy="use a lower number")
    return device
