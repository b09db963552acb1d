# SPDX-License-Identifier: Apache-2.0
"""A second network's lungs, for the estimate of quality: where two networks disagree, one is wrong.

Disagreement within an ensemble tells what a network alone does not know (Lakshminarayanan et al., 2017). The second
network is smaller, sees less detail and was trained from other random weights: `recipes/second.py`.
"""

from __future__ import annotations

from os import PathLike

import torch
from monai.utils import convert_to_tensor
from torch.nn.functional import interpolate

from lungseg.model.weights import load_weights_into

SIZE = 192
# Of both sides: what the network's strides divide.
_STEP = 8


class SecondModel:
    """Segments an image in one pass, squeezed a little where its sides do not fit the network.

    Args:
        network: (B, 1, w, h) to logits (B, 3, w, h), whose strides multiply to 8.
        weights: its state dict.

    Raises:
        LungsegError: the weights cannot be used.
    """

    def __init__(self, network: torch.nn.Module, weights: str | PathLike) -> None:
        self.network = load_weights_into(network, weights).eval().to(memory_format=torch.channels_last)

    @torch.no_grad()
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Return the probabilities (3, w, h) float32 of background, right and left lung of `image`, (1, w, h)."""
        # Without its metadata, which each layer would copy.
        image = convert_to_tensor(image, dtype=torch.float32, device="cpu", track_meta=False)
        factor = SIZE / min(image.shape[1:])
        size = [max(1, round(n * factor / _STEP)) * _STEP for n in image.shape[1:]]
        logits = self.network(interpolate(image[None], size, mode="area"))
        return interpolate(logits, image.shape[1:], mode="bilinear")[0].softmax(0)
