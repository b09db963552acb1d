# SPDX-License-Identifier: Apache-2.0
"""Transforms of probabilities into labels.

Arrays are channel first with MONAI's axis order, (C, W, H): axis 1 is x.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform


class CleanComponents(Transform):
    """Remove small components and fill holes, before the probabilities are enlarged.

    A lung is one component without holes, unless something crosses it: then it may be two components of similar size.
    Smaller components are more often air beside the body, stomach or bowel. The connected components of each lung, as
    `AsRegionsd` will find it, are found at the resolution of the network, where this is cheap. A component smaller
    than `fraction` of the largest one of its lung becomes background, and a hole becomes lung.

    Args:
        fraction: smallest area that is kept, relative to the largest component of the lung.
        threshold: the threshold of `AsRegionsd`.
    """

    def __init__(self, fraction: float = 0.5, threshold: float = 0.5) -> None:
        self.fraction, self.threshold = fraction, threshold

    def __call__(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Clean `probabilities` of right lung, left lung and heart, if there is one: (2, W, H) or (3, W, H)."""
        cleaned = probabilities.clone()
        right, left, *hearts = cleaned.cpu().numpy()
        # First the lungs to their full extent, then their visible parts.
        for shown in (1.0, *(1 - heart for heart in hearts)):
            lungs = (right + left) * shown
            labels = np.where(lungs > self.threshold, np.where(left > right, 2, 1), 0)
            for lung in (1, 2):
                islands, holes = (faults.to(cleaned.device) for faults in self._faults(labels == lung))
                cleaned[:2, islands] = 0.0
                rest = 1 - cleaned[0, holes] - cleaned[1, holes]
                cleaned[lung - 1, holes] += rest
                cleaned[2:, holes] = 0.0
            right, left, *hearts = cleaned.cpu().numpy()
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
    """Dictionary version of :class:`CleanComponents`."""

    def __init__(self, keys: KeysCollection, fraction: float = 0.5, threshold: float = 0.5) -> None:
        super().__init__(keys)
        self.clean = CleanComponents(fraction, threshold)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.clean(out[key])
        return out
