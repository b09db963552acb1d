# SPDX-License-Identifier: Apache-2.0
"""Transforms of probabilities into labels.

Arrays are channel first with MONAI's axis order, (C, W, H): axis 1 is x.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform


class CleanComponents(Transform):
    """Remove small components and fill holes, before the probabilities are enlarged.

    A lung is one component without holes, unless something crosses it: then it may be two components of similar size.
    Smaller components are more often air beside the body, stomach or bowel. The connected components of each lung, as
    `AsLungLabelsd` will label it, are found at the resolution of the network, where this is cheap. A component smaller
    than `fraction` of the largest one of its lung becomes background, and a hole becomes lung.

    Args:
        fraction: smallest area that is kept, relative to the largest component of the lung.
        threshold: the threshold of `AsLungLabelsd`.
    """

    def __init__(self, fraction: float = 0.5, threshold: float = 0.5) -> None:
        self.fraction, self.threshold = fraction, threshold

    def __call__(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Clean `probabilities`, (3, W, H), with the channels background, right lung, left lung."""
        # NumPy takes a sixth of PyTorch's time.
        _, right, left = probabilities.cpu().numpy()
        labels = np.where(right + left > self.threshold, np.where(left > right, 2, 1), 0)
        cleaned = probabilities.clone()
        for lung in (1, 2):
            islands, holes = self._faults(labels == lung)
            cleaned[:, islands.to(cleaned.device)] = cleaned.new_tensor([1.0, 0.0, 0.0])[:, None]
            holes = holes.to(cleaned.device)
            cleaned[0, holes], cleaned[lung, holes] = 0.0, cleaned[lung, holes] + cleaned[0, holes]
        return cleaned

    def _faults(self, lung: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Find the small components and the holes of the mask `lung`, (W, H) bool, as masks of that shape."""
        # Importing SciPy takes long, and the command line must not wait for it.
        from lungseg.transforms.components import find_holes, label_components

        numbers, sizes = label_components(lung)
        small = np.array([False, *(sizes < self.fraction * sizes.max(initial=0))])
        islands = small[numbers]
        return torch.from_numpy(islands), torch.from_numpy(find_holes(lung & ~islands))


class CleanComponentsd(MapTransform):
    """Dictionary version of :class:`CleanComponents` that keeps the two lungs: (3, W, H) becomes (2, W, H).

    The three channels add up to one, also after linear interpolation, so a third of the work of enlarging is saved.
    """

    def __init__(self, keys: KeysCollection, fraction: float = 0.5, threshold: float = 0.5) -> None:
        super().__init__(keys)
        self.clean = CleanComponents(fraction, threshold)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.clean(out[key])[1:]
        return out


class AsLungLabelsd(MapTransform):
    """Turn the probabilities of the lungs, (2, W, H), or (3, W, H) with the background, into labels, (1, W, H) uint8.

    A pixel is lung if the sum of both is above `threshold`, and belongs to the more probable lung. With a threshold of
    one half the areas are two percent too small, because a network that is unsure of a border prefers the background.
    `inference.json` has the threshold that was chosen on the validation lists.

    Args:
        keys: probabilities of the right and the left lung.
        threshold: probability above which a pixel is lung.
    """

    def __init__(self, keys: KeysCollection, threshold: float = 0.5) -> None:
        super().__init__(keys)
        self.threshold = threshold

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            lungs = out[key]
            right, left = (lungs.as_tensor() if isinstance(lungs, MetaTensor) else lungs)[-2:]
            labels = (left > right).to(torch.uint8).add_(1).mul_(right + left > self.threshold)[None]
            out[key] = MetaTensor(labels).copy_meta_from(lungs) if isinstance(lungs, MetaTensor) else labels
        return out
