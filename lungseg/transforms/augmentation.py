# SPDX-License-Identifier: Apache-2.0
"""Random transforms that simulate the radiographs of other hospitals, and that MONAI lacks.

Images are (C, W, H) float tensors in [0, 1], label maps (1, W, H) with 0 background, 1 right and 2 left lung.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandFlipd, RandomizableTransform
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from lungseg.transforms.intensity import clahe


class RandMirrord(RandFlipd):
    """Mirror images like MONAI's RandFlipd along x, and swap the labels 1 and 2, which mean a side of the picture.

    A network that has only seen hearts on one side recognises the sides by the heart.

    Args:
        keys: the image and the label map.
        label_key: the key of the label map.
        prob: probability of mirroring.
    """

    def __init__(self, keys: KeysCollection, label_key: str = "label", prob: float = 0.5) -> None:
        super().__init__(keys, prob=prob, spatial_axis=0)
        self.label_key = label_key

    def __call__(self, data: Mapping[Hashable, torch.Tensor], lazy: bool | None = None) -> dict[Hashable, torch.Tensor]:
        out = super().__call__(data, lazy)
        if self._do_transform:
            labels = out[self.label_key]
            out[self.label_key] = torch.where((labels == 1) | (labels == 2), 3 - labels, labels)
        return out


class RandWindowd(RandomizableTransform, MapTransform):
    """Saturate the ends of the grey values, like a wrong exposure or a wrong window of a saved picture.

    Args:
        keys: images to change.
        low: largest grey value at which the window begins.
        width: range of the width of the window; it ends within [0, 1].
        prob: probability of a change.
    """

    def __init__(
        self, keys: KeysCollection, low: float = 0.3, width: tuple[float, float] = (0.4, 1.0), prob: float = 0.1
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.low, self.width = low, width

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return out
        low = self.R.uniform(0, self.low)
        width = min(self.R.uniform(*self.width), 1 - low)
        for key in self.key_iterator(out):
            out[key] = ((out[key] - low) / width).clamp(0, 1)
        return out


class RandCLAHEd(RandomizableTransform, MapTransform):
    """Change the local contrast like the processing of other vendors: CLAHE of random strength.

    Args:
        keys: images to change.
        clip_limit: range of the clipping limit.
        tiles: range (inclusive) of the number of tiles along a side.
        prob: probability of a change.
    """

    def __init__(
        self,
        keys: KeysCollection,
        clip_limit: tuple[float, float] = (0.005, 0.03),
        tiles: tuple[int, int] = (3, 8),
        prob: float = 0.1,
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.clip_limit, self.tiles = clip_limit, tiles

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return out
        limit, tiles = self.R.uniform(*self.clip_limit), int(self.R.randint(self.tiles[0], self.tiles[1] + 1))
        for key in self.key_iterator(out):
            changed = np.stack([clahe(channel, limit, tiles) for channel in out[key].numpy()])
            out[key] = torch.as_tensor(changed).to(out[key])
        return out


_Shadow = tuple[np.ndarray, float, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]


class RandSimulateOpacityd(RandomizableTransform, MapTransform):
    """Draw smooth shadows: consolidations and effusions in the lungs, gas below the diaphragm.

    Consolidations and gas are rotated ellipses with soft edges that make the image brighter (centred in a lung) or
    darker (centred below the left lung, where stomach and colon lie). An effusion whitens one lung, or its part below a
    tilted level, with its borders to heart and diaphragm. The label map does not change: the annotations count an
    opaque lung as lung and a gas bubble as background.

    Args:
        keys: images to change.
        label_key: key of the label map that shows the lungs.
        prob: probability of a change.
        gas_prob: probability that one shadow is gas.
        effusion_prob: probability that one shadow is an effusion.
        max_count: largest number of shadows.
    """

    def __init__(
        self,
        keys: KeysCollection,
        label_key: str = "label",
        prob: float = 0.3,
        gas_prob: float = 0.3,
        effusion_prob: float = 0.2,
        max_count: int = 3,
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.label_key, self.max_count = label_key, max_count
        self.shares = (gas_prob, effusion_prob, 1 - gas_prob - effusion_prob)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        self.randomize(None)
        labels = np.asarray(out[self.label_key])[0]
        if not self._do_transform or not labels.any():
            return out
        kinds = (self._gas, self._effusion, self._consolidation)
        count = self.R.randint(1, self.max_count + 1)
        shadows = [kinds[number](labels) for number in self.R.choice(len(kinds), count, p=self.shares)]
        for key in self.key_iterator(out):
            image = out[key]
            for weight, target, extreme in shadows:
                image = extreme(image, image.lerp(image.new_tensor(target), torch.from_numpy(weight)))
            out[key] = image
        return out

    # Each method returns the weight (W, H) of its shadow, float32 in [0, 1], its grey value, and whether it brightens
    # (torch.maximum) or darkens (torch.minimum): an opacity never darkens a rib, and gas never brightens dark pixels.

    def _gas(self, labels: np.ndarray) -> _Shadow:
        size = np.array(labels.shape)
        lung = np.argwhere(labels == 2 if (labels == 2).any() else labels > 0)
        centre = self.R.choice(lung[:, 0]), lung[:, 1].max() + self.R.uniform(-0.06, 0.10) * size[1]
        target, strength = self.R.uniform(0.0, 0.25), self.R.uniform(0.5, 1.0)
        return self._ellipse(size, centre, self.R.uniform(0.03, 0.11, 2) * size, strength), target, torch.minimum

    def _consolidation(self, labels: np.ndarray) -> _Shadow:
        size, lung = np.array(labels.shape), np.argwhere(labels > 0)
        centre = lung[self.R.randint(len(lung))]
        target, strength = self.R.uniform(0.55, 1.0), self.R.uniform(0.2, 0.9)
        return self._ellipse(size, centre, self.R.uniform(0.03, 0.28, 2) * size, strength), target, torch.maximum

    def _ellipse(self, size: np.ndarray, centre: Sequence[float], radii: np.ndarray, strength: float) -> np.ndarray:
        angle, softness = self.R.uniform(0, np.pi), self.R.uniform(0.05, 0.6)
        dx, dy = np.arange(size[0])[:, None] - centre[0], np.arange(size[1])[None] - centre[1]
        u = (dx * np.cos(angle) + dy * np.sin(angle)) / radii[0]
        v = (dy * np.cos(angle) - dx * np.sin(angle)) / radii[1]
        return (strength * _smooth_step((1 + softness - np.hypot(u, v)) / (2 * softness))).astype(np.float32)

    def _effusion(self, labels: np.ndarray) -> _Shadow:
        lung = labels == self.R.choice(np.unique(labels[labels > 0]))
        width, height = labels.shape
        rows = np.flatnonzero(lung.any(0))
        level = rows[-1] - self.R.uniform(0.1, 1.1) * (rows[-1] - rows[0])
        # A fluid level is sharp; a meniscus, or fluid in a supine patient, is not.
        softness, slope = self.R.uniform(0.02, 0.25) * height, self.R.uniform(-0.5, 0.5)
        depth = np.arange(height)[None] - level + slope * (np.arange(width)[:, None] - width / 2)
        # Twice the blurred lung extends beyond its borders, which an effusion hides.
        spread = np.minimum(2 * gaussian_filter(lung.astype(np.float32), self.R.uniform(0.01, 0.05) * width), 1)
        weight = self.R.uniform(0.4, 1.0) * spread * _smooth_step(depth / softness + 0.5)
        return weight.astype(np.float32), self.R.uniform(0.7, 1.0), torch.maximum


def _smooth_step(x: np.ndarray) -> np.ndarray:
    """Rise smoothly from 0 at 0 to 1 at 1."""
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x))


class RandSimulateDevicesd(RandomizableTransform, MapTransform):
    """Draw objects on patients and pictures: pacemakers, cables, tubes, buttons, side markers, burnt-in boxes.

    Each object is a bright shape with a random place and strength. The label map does not change.

    Args:
        keys: images to change.
        prob: probability of a change.
        max_count: largest number of shapes.
    """

    def __init__(self, keys: KeysCollection, prob: float = 0.15, max_count: int = 5) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.max_count = max_count

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return out
        for key in self.key_iterator(out):
            image = out[key]
            for _ in range(self.R.randint(1, self.max_count + 1)):
                weight = torch.from_numpy(self._shape(*image.shape[1:]))
                image = image * (1 - weight) + weight
            out[key] = image
        return out

    def _shape(self, width: int, height: int) -> np.ndarray:
        """Return the opacity (W, H) of a random shape, float32 in [0, 1]."""
        canvas = Image.new("L", (width, height))
        draw = ImageDraw.Draw(canvas)
        grey, size = int(self.R.uniform(60, 255)), np.array([width, height])
        start = self.R.uniform(0, 1, 2) * size
        kind = self.R.choice(["cable", "disc", "box"])
        if kind == "cable":
            bends = start + np.cumsum(self.R.normal(0, 0.12, (self.R.randint(2, 6), 2)) * size, axis=0)
            points = [tuple(start), *map(tuple, bends)]
            draw.line(points, fill=grey, width=self.R.randint(1, max(2, width // 80)), joint="curve")
        else:
            radii = self.R.uniform(0.01, 0.06, 2) * size
            corners = [*(start - radii), *(start + radii)]
            (draw.ellipse if kind == "disc" else draw.rectangle)(corners, fill=grey)
        return np.asarray(canvas, dtype=np.float32).T / 255
