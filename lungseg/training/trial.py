# SPDX-License-Identifier: Apache-2.0
"""Try the network, the loss and what follows them once, before a training begins."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from monai.bundle import ConfigParser

from lungseg.data.labels import NOT_STATED
from lungseg.data.targets import VISIBLE
from lungseg.model.build_errors import is_memory_error, memory_error
from lungseg.model.config import from_worker
from lungseg.model.trust import is_computed
from lungseg.utils.errors import LungsegError, UsageError, find_lungseg_error, first_line, innermost

# As a network with batch normalisation needs at least.
_BATCH = 2
_WITHOUT_HEART, _WITH_HEART = 3, 4


def check_device(device: object) -> None:
    """Check that PyTorch can use the device that a config names.

    Raises:
        UsageError: it cannot (device-not-found).
    """
    if not isinstance(device, str) or is_computed(device):
        return
    try:
        torch.empty(1, device=device)
    except Exception as error:  # each kind of device has its own
        what = f"device: PyTorch cannot use {device!r} here ({first_line(error)})"
        raise UsageError(what, remedy="use --device auto, cpu or cuda", code="device-not-found") from error


def check_first_step(parser: ConfigParser) -> None:
    """Compute the network, the loss and the postprocessing once, on a made-up batch of two pictures.

    A copy of the network is computed and every generator of random numbers is put back, so that the training is the
    same as without.

    Args:
        parser: of a config like `train.json`, with the trainer built.

    Raises:
        UsageError: the network does not take radiographs (network-does-not-fit), or its output is not that of a
            segmentation (bad-network-output); the loss cannot be computed (loss-does-not-fit) or gives something other
            than a number (bad-loss); the postprocessing fails (postprocessing-does-not-fit); or memory is full.
    """
    device, size = torch.device(parser.get_parsed_content("device")), parser.get_parsed_content("image_size")
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        images = torch.rand(_BATCH, 1, size, size, device=device)
        logits = _computed_network(parser, images)
        _check_output(logits, size)
        _check_loss(parser, logits)
        _check_postprocessing(parser, logits.detach())


def _computed_network(parser: ConfigParser, images: torch.Tensor) -> torch.Tensor:
    network = copy.deepcopy(parser.get_parsed_content("network")).train()
    try:
        logits: torch.Tensor = network(images)
    except Exception as error:  # it is any class
        size = images.shape[-1]
        what = f"network_def: the network does not take radiographs of one channel and {size} x {size} pixels"
        remedy = "correct network_def or image_size"
        raise _refused(error, what, remedy, "network-does-not-fit") from error
    return logits


def _check_output(logits: object, size: int) -> None:
    wanted = f"one of (N, {_WITHOUT_HEART}, {size}, {size}): background, right lung, left lung; a heart may follow"
    given = f"a {type(logits).__name__}"
    if isinstance(logits, torch.Tensor):
        shapes = [(_BATCH, channels, size, size) for channels in (_WITHOUT_HEART, _WITH_HEART)]
        if tuple(logits.shape) in shapes:
            return
        given = f"a tensor of ({', '.join(['N', *map(str, logits.shape[1:])])})"
    what = f"network_def: the network gives {given}, not {wanted}"
    raise UsageError(what, remedy="correct network_def, such as its out_channels", code="bad-network-output")


def _check_loss(parser: ConfigParser, logits: torch.Tensor) -> None:
    size = logits.shape[-1]
    target = torch.full((_BATCH, 3, size, size), NOT_STATED, dtype=torch.uint8, device=logits.device)
    target[:, VISIBLE] = 0
    # A lung on each side.
    target[:, VISIBLE, : size // 3], target[:, VISIBLE, -(size // 3) :] = 1, 2
    try:
        loss = parser.get_parsed_content("loss")(logits.float(), target)
    except Exception as error:
        raise _refused(error, "loss: the loss cannot be computed", "correct the loss", "loss-does-not-fit") from error
    if not (isinstance(loss, torch.Tensor) and loss.ndim == 0 and loss.requires_grad):
        given = f"a tensor of {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else f"a {type(loss).__name__}"
        what = f"loss: the loss gives {given}, not one number that depends on the network's output"
        raise UsageError(what, remedy="correct the loss, such as its reduction", code="bad-loss")


def _check_postprocessing(parser: ConfigParser, logits: torch.Tensor) -> None:
    try:
        parser.get_parsed_content("train#postprocessing")({"pred": logits[0].float()})
    except Exception as error:
        what = "train#postprocessing: the network's output cannot be finished"
        raise _refused(error, what, "correct the overrides", "postprocessing-does-not-fit") from error


def _refused(error: Exception, what: str, remedy: str, code: str) -> LungsegError:
    if expected := find_lungseg_error(error):
        return expected
    if is_memory_error(innermost(error)):
        return memory_error()
    return UsageError(f"{what} ({first_line(innermost(error))})", remedy=remedy, code=code)


@contextmanager
def first_step_errors(trainer: Any) -> Iterator[None]:
    """Turn errors of a training's first step into those of its config, and full memory at any time into a sentence.

    Args:
        trainer: the MONAI Trainer that runs within.

    Raises:
        UsageError: memory is full (memory-full), or the first step fails (config-not-trainable).
    """
    began = trainer.state.iteration
    try:
        yield
    except Exception as error:
        if find_lungseg_error(error) or from_worker(error):
            raise
        root = innermost(error)
        if is_memory_error(root):
            raise memory_error() from error
        if isinstance(root, OSError) or trainer.state.iteration > began + 1:
            raise
        what = f"the first step of the training failed ({first_line(root)})"
        raise UsageError(what, remedy="correct the overrides", code="config-not-trainable") from error
