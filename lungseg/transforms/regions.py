# SPDX-License-Identifier: Apache-2.0
"""Transforms of the network's output into regions: the lungs to both extents, and the heart.

Arrays are channel first with MONAI's axis order, (C, W, H): axis 1 is x.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

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
            regions = (left > right).to(torch.uint8).add_(1).mul_(lungs > self.threshold)
            if hearts:
                heart = hearts[0]
                # The heart hides lung only.
                regions.add_(VISIBLE * (lungs * (1 - heart) > self.threshold).to(torch.uint8))
                regions.add_(HEART * (heart > 0.5).to(torch.uint8))
            else:
                regions.add_(VISIBLE * (regions > 0).to(torch.uint8))
            regions = regions[None]
            out[key] = MetaTensor(regions).copy_meta_from(given) if isinstance(given, MetaTensor) else regions
        return out


def label_table(extent: str = "visible", heart: bool = False) -> torch.Tensor:
    """Return the label of each bit field: (16,) uint8, 0 background, 1 right lung, 2 left lung, 3 heart if asked for.

    Args:
        extent: "visible" or "full".
        heart: whether the heart is labelled, where no lung of this extent lies.
    """
    regions = torch.arange(16, dtype=torch.uint8)
    lungs = regions & SIDES
    if extent == "visible":
        lungs = lungs * (regions & VISIBLE > 0)
    labels = torch.where((lungs == 0) & (regions & HEART > 0), HEART_LABEL, lungs) if heart else lungs
    return labels.to(torch.uint8)


class RegionsToLabelsd(MapTransform):
    """Turn regions into a label map (1, W, H) uint8; see :func:`label_table`.

    Args:
        keys: regions (1, W, H).
        extent: "visible" or "full".
        heart: whether the heart is labelled, with 3.
    """

    def __init__(self, keys: KeysCollection, extent: str = "visible", heart: bool = False) -> None:
        super().__init__(keys)
        self.table = label_table(extent, heart)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            regions = out[key]
            plain = regions.as_tensor() if isinstance(regions, MetaTensor) else regions
            labels = self.table.to(plain.device)[plain.int()]
            out[key] = MetaTensor(labels).copy_meta_from(regions) if isinstance(regions, MetaTensor) else labels
        return out
