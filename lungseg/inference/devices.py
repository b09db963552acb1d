# SPDX-License-Identifier: Apache-2.0
"""Choose the device that computes, and bring images to it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lungseg.utils.errors import UsageError


def choose_device(name: str) -> torch.device:
    """Return the device called `name`: "cpu", "cuda", "cuda:1" …; "auto" is CUDA if it is available, else the CPU.

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
        device = torch.device("cuda", 0)
    if device.index >= count:
        what = f"device {name!r} does not exist: the number of CUDA devices is {count}"
        raise UsageError(what, remedy="use a lower number", code="device-not-found")
    return device


def stack_on(device: torch.device, images: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return images of one shape as a batch on `device`: n times (1, w, h) on the CPU to (n, 1, w, h).

    For a GPU they are stacked in page-locked memory, from which they are copied while this thread goes on.
    """
    if device.type != "cuda":
        return torch.stack(list(images)).to(device)
    shape = (len(images), *images[0].shape)
    locked = torch.empty(shape, dtype=images[0].dtype, pin_memory=True)
    torch.stack(list(images), out=locked)
    # PyTorch does not reuse the locked memory before the copy is done.
    return locked.to(device, non_blocking=True)


def _not_supported(name: str) -> UsageError:
    return UsageError(f"device {name!r} is not supported", remedy="use auto, cpu or cuda", code="device-not-supported")
