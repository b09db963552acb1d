# SPDX-License-Identifier: Apache-2.0
"""What computes the network: PyTorch or OpenVINO, in single precision or in bfloat16.

An engine is called as the network is, (B, 1, w, h) float32 to logits (B, 3, w, h) float32, from several threads at
once. All else, windows among it, is as `inference.json` says.
"""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING

from lungseg.utils.errors import LungsegError, UsageError, first_line
from lungseg.utils.parallel import core_count

# The command line names the engines: nothing that takes long to import stands above.
if TYPE_CHECKING:
    import torch

Engine = Callable[["torch.Tensor"], "torch.Tensor"]
ENGINES = ("torch", "openvino")
PRECISIONS = ("fp32", "bf16")
EXPORT_FORMATS = ("onnx", "openvino")


def make_backend(
    network: torch.nn.Module, device: torch.device, name: str = "torch", precision: str = "fp32"
) -> Engine:
    """Return what computes `network`, a 2-D network of one input channel with its weights, in evaluation mode.

    Args:
        network: on `device`.
        device: where PyTorch computes; OpenVINO is for the CPU.
        name: among `ENGINES`.
        precision: among `PRECISIONS`: bf16 is for processors that multiply bfloat16 in hardware.

    Raises:
        UsageError: this machine, or this installation, has no such engine.
    """

    if name not in ENGINES:
        raise UsageError(f"there is no engine called {name!r}", remedy=f"use {' or '.join(ENGINES)}")
    if precision not in PRECISIONS:
        raise UsageError(f"there is no precision called {precision!r}", remedy=f"use {' or '.join(PRECISIONS)}")
    if precision == "bf16" and device.type == "cpu" and not cpu_is_faster_in_bf16():
        raise UsageError("this processor does not multiply bfloat16 in hardware", remedy="use --precision fp32")
    if name == "openvino":
        if device.type != "cpu":
            raise UsageError("the engine openvino is for the CPU", remedy="use --device cpu")
        return OpenVinoEngine(network, precision)
    return network if precision == "fp32" else _InBfloat16(network)


class _InBfloat16:
    """A copy of a network whose batch normalisation is folded into the convolutions before it, as exports have it.

    Autocast, which would round the weights anew for each image and the values in between more often, takes half as
    long again.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        import torch

        self.network = _folded(network).to(torch.bfloat16, memory_format=torch.channels_last)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images.bfloat16()).float()


def _folded(network: torch.nn.Module) -> torch.nn.Module:
    """Return a copy of `network`, in evaluation mode, without the batch normalisation of MONAI's convolution blocks."""
    from monai.networks.blocks import Convolution
    from torch.nn import BatchNorm2d, ConvTranspose2d
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    copied = copy.deepcopy(network)
    for block in [module for module in copied.modules() if isinstance(module, Convolution) and hasattr(module, "adn")]:
        norm, *_ = block.adn.children()
        if isinstance(norm, BatchNorm2d):
            block.conv = fuse_conv_bn_eval(block.conv, norm, transpose=isinstance(block.conv, ConvTranspose2d))
            del block.adn[0]
    return copied


class OpenVinoEngine:
    """A network that OpenVINO computes on the CPU.

    Args:
        model: the network, or a file that `lungseg export` wrote: .onnx, or .xml with the .bin beside it.
        precision: among `PRECISIONS`.

    Raises:
        UsageError: OpenVINO is not installed.
        LungsegError: the file cannot be read.
    """

    def __init__(self, model: torch.nn.Module | str | PathLike, precision: str = "fp32") -> None:
        import torch

        openvino = import_openvino()
        if isinstance(model, torch.nn.Module):
            # A size that five halvings divide; any batch and, in its multiples, any size may follow.
            converted = openvino.convert_model(model, example_input=torch.zeros(1, 1, 64, 64), input=[-1, 1, -1, -1])
        else:
            try:
                converted = _openvino_core().read_model(str(model))
            except RuntimeError as error:
                raise LungsegError(f"OpenVINO cannot read this ({first_line(error)})", model, "export again") from error
        settings = {
            "INFERENCE_PRECISION_HINT": "f32" if precision == "fp32" else "bf16",
            # As many images at once as there are cores, each on one: nothing is lost in dividing an image.
            "INFERENCE_NUM_THREADS": core_count(),
            "NUM_STREAMS": core_count(),
        }
        self._compiled = _openvino_core().compile_model(converted, "CPU", settings)
        self._own = threading.local()

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, 3, w, h) of `images` (B, 1, w, h)."""
        import torch

        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        logits = self._own.request.infer({0: images.contiguous().numpy()})[0]
        # The request's memory is written to again by the next call.
        return torch.from_numpy(logits.copy())


@functools.cache
def _openvino_core():
    # One for the process: each core sets the thread's alternate signal stack and frees it when it goes, so that of two,
    # freed in the order of their making, the second's remains set, and the next signal ends the process.
    return import_openvino().Core()


def import_openvino():
    """Return the module `openvino`.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise UsageError(
            "the package openvino is not installed", remedy='install it with pip install "lungseg[openvino]"'
        ) from error
    return openvino


def cpu_is_faster_in_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; without that bf16 is ten times slower than float32."""
    import torch

    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
