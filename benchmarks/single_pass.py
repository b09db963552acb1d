# SPDX-License-Identifier: Apache-2.0
"""One resized pass: what sliding windows are compared with."""

from __future__ import annotations

import torch
from monai.transforms import Resize, Resized

from lungseg.inference.predictor import Predictor
from lungseg.transforms.spatial import ResizeShorterSided


class _Squeeze(Resize):
    """Resize to a square whatever the shape; the inverse is bilinear, as that of `ResizeShorterSide`."""

    def inverse_transform(self, data: torch.Tensor, transform) -> torch.Tensor:
        transform["extra_info"]["mode"] = "bilinear"
        return super().inverse_transform(data, transform)


class _Squeezed(Resized):
    """Dictionary version of `_Squeeze`."""

    def __init__(self, keys, size: int) -> None:
        super().__init__(keys, spatial_size=size)
        self.resizer = _Squeeze((size, size), mode="area")


def squeeze(predictor: Predictor) -> Predictor:
    """Make a predictor squeeze the whole radiograph into its one window, and change nothing else."""
    size = predictor.inferer.roi_size[0]
    # The transform that takes predictions back is given this same Compose.
    steps = predictor.preprocessing
    steps.transforms = tuple(
        _Squeezed("image", size) if isinstance(step, ResizeShorterSided) else step for step in steps.transforms
    )
    return predictor
