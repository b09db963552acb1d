# SPDX-License-Identifier: Apache-2.0
"""The forward pass in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import SimpleInferer
from monai.utils import convert_to_tensor

from lungseg.model.backends import cpu_is_faster_in_bf16


class TrainingInferer(SimpleInferer):
    """Plain forward pass, in bfloat16 on the CPUs where that is faster.

    MONAI's engines offer mixed precision for CUDA only. On other devices than a CPU this wrapper does nothing.

    Args:
        bf16: whether to use bfloat16 on a CPU that has it in hardware.
        compiled: compile the network with `torch.compile`, which takes a minute and a C++ compiler, and saves a third
            of the time of each step on a CPU.
    """

    def __init__(self, bf16: bool = True, compiled: bool = False) -> None:
        super().__init__()
        self.bf16, self.compiled = bf16 and cpu_is_faster_in_bf16(), compiled
        self._compiled_network: Callable[..., torch.Tensor] | None = None

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return the float32 logits (B, C, W, H) of `inputs` (B, 1, W, H)."""
        inputs = convert_to_tensor(inputs, track_meta=False)
        if self.compiled:
            if self._compiled_network is None:
                self._compiled_network = torch.compile(network)
            network = self._compiled_network
        enabled = self.bf16 and inputs.device.type == "cpu"
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            logits: torch.Tensor = super().__call__(inputs, network, *args, **kwargs)
        return logits.float() if enabled else logits
