# SPDX-License-Identifier: Apache-2.0
"""The lungs that a second network finds, for the quality estimate: where two networks disagree, one is wrong.

Disagreement within an ensemble measures the uncertainty that a single network does not show (Lakshminarayanan et al.,
2017). The second network is smaller, sees less detail and was trained from other random weights.
"""

from __future__ import annotations

from os import PathLike
from typing import Any

import torch
from monai.utils import convert_to_tensor
from torch.nn.functional import interpolate

from lungseg.model.backends import Backend, make_backend
from lungseg.model.weights import load_weights_into

SIZE = 192
# The network's strides multiply to this; both sides of its input are multiples of it.
_STEP = 8


class SecondModel:
    """Segment an image in one pass, resized to sides that the network's strides divide.

    Args:
        network: (B, 1, w, h) to logits (B, 3, w, h); its strides multiply to 8.
        weights: file of its state dict.

    Raises:
        LungsegError: the weights cannot be used.
    """

    def __init__(self, network: torch.nn.Module, weights: str | PathLike[str]) -> None:
        loaded: Any = load_weights_into(network, weights).eval()
        self.network: torch.nn.Module = loaded.to(memory_format=torch.channels_last)
        self.backend: Backend = self.network

    def use(self, precision: str) -> None:
        """Compute in one of :data:`lungseg.model.backends.PRECISIONS` from now on."""
        self.backend = make_backend(self.network, torch.device("cpu"), precision)

    @torch.no_grad()
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Return the probabilities (3, w, h) float32 of background, right and left lung of `image`, (1, w, h)."""
        # Each layer would copy the metadata.
        image = convert_to_tensor(image, dtype=torch.float32, device="cpu", track_meta=False)
        factor = SIZE / min(image.shape[1:])
        size = [max(1, round(n * factor / _STEP)) * _STEP for n in image.shape[1:]]
        logits = self.backend(interpolate(image[None], size, mode="area"))
        probabilities: torch.Tensor = interpolate(logits, image.shape[1:], mode="bilinear")[0].softmax(0)
        return probabilities
