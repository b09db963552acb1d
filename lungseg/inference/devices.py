# SPDX-License-Identifier: Apache-2.0
"""Choose the device that computes."""

from __future__ import annotations

import os

import torch

from lungseg.utils.errors import UsageError


def choose_device(name: str) -> torch.device:
    """Return the device called `name`: "cpu", "cuda", "cuda:1" …; "auto" is CUDA if it is available, else the CPU.

    Each process that `torchrun` started takes one GPU, by its local rank.

    Raises:
        UsageError: the device is not supported or not available.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise _not_supported(name) from error
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise _not_supported(name)
    if not torch.cuda.is_available():
        raise UsageError("this PyTorch finds no CUDA device", remedy="use the device cpu", code="cuda-not-available")
    count = torch.cuda.device_count()
    if device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % count)
    if device.index >= count:
        what = f"device {name!r} does not exist: the number of CUDA devices is {count}"
        raise UsageError(what, remedy="use a lower number", code="device-not-found")
    return device


def _not_supported(name: str) -> UsageError:
    return UsageError(f"device {name!r} is not supported", remedy="use auto, cpu or cuda", code="device-not-supported")
