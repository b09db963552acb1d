# SPDX-License-Identifier: Apache-2.0
"""Correct the orientation and the polarity of a radiograph before it is segmented, and turn its result back.

A small network classifies a thumbnail of 64 x 64 pixels: the quarter turns, and whether the grey values are inverted,
the picture is mirrored, and it is a frontal chest radiograph. Turns and inversion are undone. The other probabilities
are written into the metadata of the image, for :mod:`lungseg.quality.transform`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from os import PathLike
from typing import cast

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.networks.nets import Classifier
from monai.transforms import InvertibleTransform, MapTransform, Rotate90
from monai.utils import convert_to_tensor

from lungseg.model.weights import load_weights_into

SIZE = 64
# The network's outputs: logits of the four turns (softmax), of an inverted picture, of a mirrored one, and of a
# frontal chest radiograph (a sigmoid each).
TURNS, INVERTED, MIRRORED, FRONTAL = slice(0, 4), 4, 5, 6


def orientation_classifier() -> Classifier:
    """Return the network, with random weights: (B, 1, 64, 64) thumbnails to (B, 7) logits."""
    return Classifier(
        in_shape=(1, SIZE, SIZE),
        classes=7,
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


class CorrectOrientation(InvertibleTransform):
    """Undo quarter turns and inversion of a radiograph, if the network is confident.

    The metadata of the result gain `quarter_turns` (how many, counter-clockwise as seen on a screen, the picture was
    turned by), `inverted` (0 or 1), and the probabilities `mirrored`, `frontal` and `upright` (of the
    recognised turn).

    Args:
        weights: state dict of :func:`orientation_classifier`.
        confidence: a less probable turn or inversion is not undone.

    Raises:
        LungsegError: the weights cannot be used.
    """

    def __init__(self, weights: str | PathLike[str], confidence: float = 0.9) -> None:
        self.network = load_weights_into(orientation_classifier(), weights).eval()
        self.confidence = confidence

    @torch.no_grad()
    def __call__(self, data: torch.Tensor) -> MetaTensor:
        """Turn `data`, (1, W, H) of any real dtype, upright: (1, W, H) or (1, H, W)."""
        image = cast(MetaTensor, convert_to_tensor(data, track_meta=True))
        logits = self.network(thumbnail(image.as_tensor().cpu())[None])[0]
        probabilities = logits[TURNS].softmax(0)
        turns = int(probabilities.argmax())
        inverted, mirrored, frontal = logits[[INVERTED, MIRRORED, FRONTAL]].sigmoid().tolist()
        found = {"mirrored": mirrored, "frontal": frontal, "upright": float(probabilities[turns])}
        turns = turns if found["upright"] >= self.confidence else 0
        if inverted >= self.confidence:
            image = cast(MetaTensor, image.max() + image.min() - image)
        upright = MetaTensor(self._turn(image, -turns), applied_operations=list(image.applied_operations))
        upright.meta = dict(image.meta, quarter_turns=turns, inverted=int(inverted >= self.confidence), **found)
        self.push_transform(upright, extra_info={"turns": turns})  # type: ignore[no-untyped-call]
        return upright

    def inverse(self, data: torch.Tensor) -> torch.Tensor:
        """Turn `data` (C, W, H) back as the image was turned."""
        return self._turn(cast(MetaTensor, data), self.pop_transform(data)["extra_info"]["turns"])

    @staticmethod
    def _turn(image: MetaTensor, turns: int) -> MetaTensor:
        """Turn an image counter-clockwise as seen on a screen, where axis 1 is x, and axis 2 is y and points down."""
        if turns % 4 == 0:
            # Rotate90 would copy it, at the size of the radiograph.
            return image
        rotate = Rotate90(k=-turns % 4)
        with rotate.trace_transform(False):
            return cast(MetaTensor, rotate(image))


class CorrectOrientationd(MapTransform, InvertibleTransform):
    """Dictionary version of :class:`CorrectOrientation`.

    Args:
        keys: images to correct.
        weights, confidence: see :class:`CorrectOrientation`.
    """

    def __init__(self, keys: KeysCollection, weights: str | PathLike[str], confidence: float = 0.9) -> None:
        super().__init__(keys)
        self.upright = CorrectOrientation(weights, confidence)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.upright(out[key])
        return out

    def inverse(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.upright.inverse(out[key])
        return out
