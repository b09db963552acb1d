# SPDX-License-Identifier: Apache-2.0
"""Weights on disk: plain `state_dict` files, loaded without running code."""

from __future__ import annotations

import hashlib
import io
import os
from os import PathLike
from pathlib import Path

import torch

from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import atomic_path


def load_weights(path: str | PathLike[str]) -> dict[str, torch.Tensor]:
    """Read a state dict without running code from the file.

    Raises:
        UsageError: there is no such file.
        LungsegError: the file is not a PyTorch checkpoint, or holds something other than weights.
    """
    path = Path(path)
    # pathlib raises an error of its own for a name that is too long.
    if not os.path.isfile(path):
        raise UsageError(
            "there is no weight file", path, "give a .pt file or the folder of a finished run", code="weights-missing"
        )
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises a dozen types on damaged files
        raise LungsegError(
            "the weight file cannot be read", path, "fetch or train it again", code="weights-unreadable"
        ) from error
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise LungsegError(
            "the file does not hold a plain state dict", path, "use the model.pt of a run", code="weights-not-plain"
        )
    return weights


def save_checkpoint(content: object, path: str | PathLike[str]) -> None:
    """Write anything that `torch.save` can write, completely or not at all.

    The content is first written to memory: on a full disk `torch.save` raises an error about its archive instead.

    Raises:
        UsageError: the folder is read-only.
        LungsegError: the file cannot be written, for instance on a full disk.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_weights_into(network: torch.nn.Module, path: str | PathLike[str] | None) -> torch.nn.Module:
    """Load the weights at `path` into `network` (nothing if None) and return the network.

    Raises:
        LungsegError: the file cannot be read, or its weights belong to another network.
    """
    if path is None:
        return network
    weights = load_weights(path)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        remedy = "use weights that this bundle's network_def was trained with"
        raise LungsegError("the weights do not fit the network", path, remedy, code="weights-do-not-fit") from error
    return network


def output_channels(path: str | PathLike[str] | None) -> int:
    """Return the number of output channels of the network whose state dict is at `path`: that of its last layer.

    Without weights it is 3, for a network that does not know the heart.

    Raises:
        LungsegError: the file cannot be read, or holds no layer.
    """
    if path is None:
        return 3
    # A module that a network holds twice, as DynUNet does its layers, has its place by the first time.
    layers = {tensor.data_ptr(): len(tensor) for tensor in load_weights(path).values() if tensor.ndim}
    if layers:
        return list(layers.values())[-1]
    raise LungsegError("the file holds no weights", path, "use the model.pt of a run", code="weights-not-plain")


def weights_hash(path: str | PathLike[str]) -> str:
    """Return the SHA-256 of the file, in hex."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
