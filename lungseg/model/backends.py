# SPDX-License-Identifier: Apache-2.0
"""Inference backends: PyTorch in single precision or in bfloat16.

A backend is called as the network is, (B, 1, w, h) float32 to logits (B, 3, w, h) float32, or (B, 4, w, h) with the
heart, from several threads at once. `inference.json` defines everything else, the sliding window included.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lungseg.utils.errors import UsageError

# The command line reads the constants below: PyTorch, which takes seconds to import, is imported where it is used.
if TYPE_CHECKING:
    import torch

Backend = Callable[["torch.Tensor"], "torch.Tensor"]
PRECISIONS = ("fp32", "bf16")
EXPORT_FORMATS = ("onnx", "torchscript")


def make_backend(network: torch.nn.Module, device: torch.device, precision: str = "fp32") -> Backend:
    """Return a function that computes `network`.

    Args:
        network: a 2-D network with one input channel, on `device`, with its weights, in evaluation mode.
        device: where PyTorch computes.
        precision: one of `PRECISIONS`; bf16 is for processors that multiply bfloat16 in hardware.

    Raises:
        UsageError: the precision is unknown, or this processor does not support it.
    """
    if precision not in PRECISIONS:
        raise UsageError(
            f"the precision {precision!r} is not known",
            remedy=f"use {' or '.join(PRECISIONS)}",
            code="unknown-precision",
        )
    if precision == "bf16" and device.type == "cpu" and not cpu_is_faster_in_bf16():
        raise UsageError(
            "this processor does not multiply bfloat16 in hardware",
            remedy="use --precision fp32",
            code="bf16-not-supported",
        )
    return network if precision == "fp32" else _Bfloat16Backend(network)


class _Bfloat16Backend:
    """A copy of a network in bfloat16, with batch normalisation folded into the convolutions before it.

    Autocast rounds the weights again for each image and the intermediate values more often; it takes half as long
    again.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        import torch

        folded: Any = _fold_batch_norm(network)
        self.network = folded.to(dtype=torch.bfloat16, memory_format=torch.channels_last)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(images.bfloat16())
        return logits.float()


def _fold_batch_norm(network: torch.nn.Module) -> torch.nn.Module:
    """Return a copy of `network`, in evaluation mode, without the batch normalisation of MONAI's convolution blocks."""
    from monai.networks.blocks import Convolution
    from torch.nn import BatchNorm2d, ConvTranspose2d
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    copied = copy.deepcopy(network)
    blocks: list[Any] = [module for module in copied.modules() if isinstance(module, Convolution)]
    for block in [block for block in blocks if hasattr(block, "adn")]:
        norm, *_ = block.adn.children()
        if isinstance(norm, BatchNorm2d):
            block.conv = fuse_conv_bn_eval(block.conv, norm, transpose=isinstance(block.conv, ConvTranspose2d))
            del block.adn[0]
    return copied


def cpu_is_faster_in_bf16() -> bool:
    """Return whether this CPU multiplies bfloat16 in hardware; without that, bf16 is ten times slower than float32."""
    import torch

    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
