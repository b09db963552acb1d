# SPDX-License-Identifier: Apache-2.0
"""Recognise a picture: its view, its quarter turns, and whether it is inverted or mirrored.

A small network classifies a thumbnail of 64 x 64 pixels. It only says how a picture looks: nothing is turned, inverted
or refused here.
"""

from __future__ import annotations

from os import PathLike

import numpy as np
import torch
from monai.networks.nets import Classifier
from monai.utils import convert_to_tensor

from lungseg.model.weights import load_weights_into

SIZE = 64
# The network's outputs: logits of the four turns (softmax), of an inverted picture and of a mirrored one (a sigmoid
# each), and of the views (softmax).
TURNS, INVERTED, MIRRORED, VIEWS = slice(0, 4), 4, 5, slice(6, 9)
# The order of the views.
FRONTAL, LATERAL, OTHER = range(3)


def recognition_network() -> Classifier:
    """Return the network, with random weights: (B, 1, 64, 64) thumbnails to (B, 9) logits."""
    return Classifier(
        in_shape=(1, SIZE, SIZE),
        classes=9,
        channels=(16, 32, 64, 96),
        strides=(2, 2, 2, 2),
        num_res_units=1,
        act="RELU",
        norm="BATCH",
        dropout=0.2,
    )


def thumbnail(image: torch.Tensor) -> torch.Tensor:
    """Resize `image` (1, W, H), any units, to (1, 64, 64) float32, and scale its 1st to 99th percentile to 0 to 1."""
    step = max(1, min(image.shape[1:]) // (4 * SIZE))
    small = torch.nn.functional.adaptive_avg_pool2d(image[None, :, ::step, ::step].float(), SIZE)[0]
    low, high = np.percentile(small.numpy(), (1, 99))
    return ((small - float(low)) / max(float(high - low), 1e-6)).clamp(0, 1)


class Recogniser:
    """Recognise pictures.

    Args:
        weights: state dict of :func:`recognition_network`.

    Raises:
        LungsegError: the weights cannot be used.
    """

    def __init__(self, weights: str | PathLike[str]) -> None:
        self.network = load_weights_into(recognition_network(), weights).eval()

    @torch.no_grad()
    def __call__(self, image: torch.Tensor) -> dict[str, float]:
        """Recognise an image (1, w, h) of any units.

        Returns:
            Name -> probability: `frontal` and `lateral`, of the view; `upright`, `turned_90`, `turned_180` and
            `turned_270`, of the degrees that the picture is turned by, counter-clockwise as seen on a screen;
            `inverted` and `mirrored`. All but the first two suppose a frontal chest radiograph.
        """
        pixels = convert_to_tensor(image, track_meta=False, device="cpu")
        logits = self.network(thumbnail(pixels)[None])[0]
        turns = logits[TURNS].softmax(0).tolist()
        views = logits[VIEWS].softmax(0).tolist()
        inverted, mirrored = logits[[INVERTED, MIRRORED]].sigmoid().tolist()
        names = ("upright", "turned_90", "turned_180", "turned_270")
        return {
            "frontal": views[FRONTAL],
            "lateral": views[LATERAL],
            **dict(zip(names, turns, strict=True)),
            "inverted": inverted,
            "mirrored": mirrored,
        }
