# SPDX-License-Identifier: Apache-2.0
"""One resized pass, with which sliding windows are compared."""

from __future__ import annotations

import torch
from monai.transforms import Resize

from lungseg.inference.predictor import Predictor
from lungseg.transforms.spatial import ResizeShorterSided


class _Squeeze(Resize):
    """Resize any shape to a square; the inverse is bilinear, as that of `ResizeShorterSide`."""

    def inverse_transform(self, data: torch.Tensor, transform) -> torch.Tensor:
        transform["extra_info"]["mode"] = "bilinear"
        return super().inverse_transform(data, transform)


def squeeze(predictor: Predictor) -> Predictor:
    """Make a predictor squeeze the whole radiograph into its one window, and change nothing else."""
    size = predictor.inferer.roi_size[0]
    # The transform that takes predictions back uses the same objects.
    for step in predictor.groups["prepare"].transforms:
        if isinstance(step, ResizeShorterSided):
            step.resizer = _Squeeze((size, size), mode="area")
    return predictor
