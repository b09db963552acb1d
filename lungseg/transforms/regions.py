# SPDX-License-Identifier: Apache-2.0
"""Transforms of the network's output into regions: the lungs to both extents, and the heart.

Arrays are channel first with MONAI's axis order, (C, W, H): axis 1 is x.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_tensor

# Bits of a region: the side of the lung to its full extent (1 right, 2 left), whether it is visible, and the heart.
SIDES, VISIBLE, HEART = 3, 4, 8
HEART_LABEL = 3


class LungProbabilitiesd(MapTransform):
    """Turn logits into probabilities of right lung, left lung, and of the heart if the network knows it.

    The softmax is over background, right and left lung; the heart lies over them, so it has a sigmoid of its own.

    Args:
        keys: logits (3, w, h), or (4, w, h) with the heart; the result is (2, w, h) or (3, w, h).
    """

    def __init__(self, keys: KeysCollection) -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            logits = out[key]
            # The background is one minus both lungs, also after linear interpolation: it need not be enlarged.
            probabilities = torch.cat([logits[:3].softmax(0)[1:], logits[3:].sigmoid()])
            # Invertd needs a tensor that tracks its metadata.
            out[key] = convert_to_tensor(probabilities, track_meta=True)
        return out


class AsRegionsd(MapTransform):
    """Turn probabilities into a bit field, (1, W, H) uint8: 1 right lung, 2 left lung, 4 visible lung, 8 heart.

    A pixel is lung if the sum of both lungs is above `threshold`, and belongs to the more probable lung. It is visible
    lung if the heart does not hide it: sum * (1 - heart) is above `threshold`. All lung is visible for a network that
    does not know the heart. With a threshold of one half the areas are two percent too small, because a network that is
    unsure of a border prefers the background. `inference.json` has the threshold that was chosen on validation lists.

    Args:
        keys: probabilities (2, W, H) of right and left lung, or (3, W, H) with the heart.
        threshold: probability above which a pixel is lung.
    """

    def __init__(self, keys: KeysCollection, threshold: float = 0.5) -> None:
        super().__init__(keys)
        self.threshold = threshold

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            given = out[key]
            right, left, *hearts = given.as_tensor() if isinstance(given, MetaTensor) else given
            lungs = right + left
            # Views of booleans and sums in place: the picture may have millions of pixels.
            regions = (left > right).view(torch.uint8).add_(1).mul_((lungs > self.threshold).view(torch.uint8))
            if hearts:
                regions.add_((hearts[0] > 0.5).view(torch.uint8), alpha=HEART)
                # The heart hides lung only.
                lungs.mul_(1 - hearts[0])
            regions.add_((lungs > self.threshold).view(torch.uint8), alpha=VISIBLE)
            regions = regions[None]
            out[key] = MetaTensor(regions).copy_meta_from(given) if isinstance(given, MetaTensor) else regions
        return out


# A tensor or an array.
_Regions = TypeVar("_Regions", bound=Any)


def label_map(regions: _Regions, extent: str = "visible", heart: bool = False) -> _Regions:
    """Return the labels of regions: 0 background, 1 right lung, 2 left lung, 3 heart if it is asked for.

    Args:
        regions: uint8 of any shape, see :class:`AsRegionsd`.
        extent: of the lungs, "visible" or "full".
        heart: whether the heart is labelled, where no lung of this extent lies.
    """
    # Arithmetic takes a tenth of the time of a look-up table, and shifting bits a tenth of that of a division.
    labels: _Regions = regions & SIDES
    if extent == "visible":
        labels = labels * (regions >> 2 & 1)
    if heart:
        labels = labels + HEART_LABEL * ((labels == 0) * (regions >> 3))
    return labels


class RegionsToLabelsd(MapTransform):
    """Turn regions into a label map (1, W, H) uint8; see :func:`label_map`.

    Args:
        keys: regions (1, W, H).
        extent: "visible" or "full".
        heart: whether the heart is labelled, with 3.
    """

    def __init__(self, keys: KeysCollection, extent: str = "visible", heart: bool = False) -> None:
        super().__init__(keys)
        self.extent, self.heart = extent, heart

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            regions = out[key]
            plain = regions.as_tensor() if isinstance(regions, MetaTensor) else regions
            labels = label_map(plain, self.extent, self.heart)
            out[key] = MetaTensor(labels).copy_meta_from(regions) if isinstance(regions, MetaTensor) else labels
        return out
