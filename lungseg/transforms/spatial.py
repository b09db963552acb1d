# SPDX-License-Identifier: Apache-2.0
"""Resize."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Resize, Resized
from monai.transforms.spatial.functional import resize
from monai.utils import convert_to_tensor


class ResizeShorterSide(Resize):
    """Resize the shorter side to `size` pixels, and squeeze the longer side towards a square.

    Most radiographs become squares, in which the network sees the whole chest at once: in a window on a part of it,
    dark air beside the body may look like lung. Pictures longer than `squeeze` times their width need several windows.
    The inverse interpolates bilinearly: the forward mode "area" averages when it shrinks but makes blocks when it
    enlarges.

    Args:
        size: length of the shorter side in pixels.
        squeeze: the longer side is reduced by up to this factor more than the shorter one, until both are equal.
    """

    def __init__(self, size: int, squeeze: float = 1.5) -> None:
        super().__init__(spatial_size=size, mode="area")
        self.shorter_side, self.squeeze = size, squeeze

    def __call__(self, img: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:  # type: ignore[override]
        """Resize `img` of shape (C, W, H), any real dtype, to float32 with the shorter side at `size`."""
        img = convert_to_tensor(img, track_meta=True)
        relative = (n / min(img.shape[1:]) for n in img.shape[1:])
        out_size = tuple(round(self.shorter_side * max(1, ratio / self.squeeze)) for ratio in relative)
        resized: torch.Tensor = resize(
            img,
            out_size=out_size,
            mode=self.mode,
            align_corners=None,
            dtype=torch.float32,
            input_ndim=2,
            anti_aliasing=False,
            anti_aliasing_sigma=None,
            lazy=False,
            transform_info=self.get_transform_info(),
        )
        return resized

    def inverse_transform(self, data: torch.Tensor, transform: dict[str, Any]) -> torch.Tensor:
        """Interpolate `data` (C, w, h) bilinearly back to the size it had before the forward call."""
        transform["extra_info"]["mode"] = "bilinear"
        # One by one: PyTorch takes five times as long for three channels together.
        channels = [super(ResizeShorterSide, self).inverse_transform(one[None], deepcopy(transform)) for one in data]
        return torch.cat(channels)


class ResizeShorterSided(Resized):
    """Dictionary version of :class:`ResizeShorterSide`.

    Args:
        keys: items to resize.
        size: length of the shorter side in pixels.
    """

    def __init__(self, keys: KeysCollection, size: int) -> None:
        super().__init__(keys, spatial_size=size)
        self.resizer = ResizeShorterSide(size)


class ResizeLabelsd(MapTransform):
    """Resize label maps like :class:`ResizeShorterSided` resizes images: each pixel gets its main label.

    Nearest neighbour would take one corner of the area that the mode of the image averages, and shift every outline.
    Where background and lung cover equal areas, every second pixel becomes lung, so that lungs do not shrink.

    Args:
        keys: label maps (C, W, H) uint8, each channel with labels of its own; 0 is the background.
        size: length of the shorter side in pixels.
    """

    def __init__(self, keys: KeysCollection, size: int) -> None:
        super().__init__(keys)
        self.resize = ResizeShorterSide(size)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = torch.stack([self._resize(channel) for channel in torch.as_tensor(np.asarray(out[key]))])
        return out

    def _resize(self, label: torch.Tensor) -> torch.Tensor:
        values = torch.tensor(sorted({0, *np.unique(label.numpy()).tolist()}), dtype=torch.uint8)
        shares = self.resize(torch.stack([label == value for value in values]).float())
        share = shares.as_tensor() if isinstance(shares, MetaTensor) else shares
        parity = torch.arange(share.shape[1])[:, None] + torch.arange(share.shape[2])
        share[0] += 1e-3 * (1 - 2 * (parity % 2))
        return values[share.argmax(0)]
