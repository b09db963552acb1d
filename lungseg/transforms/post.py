# SPDX-License-Identifier: Apache-2.0
"""Clean the probabilities of lungs and heart.

Arrays are channel first with MONAI's axis order, (C, W, H): axis 1 is x.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform


class CleanComponents(Transform):
    """Remove small components and fill holes, before the probabilities are enlarged.

    A lung is one component without holes, unless something crosses it: then it may be two components of similar size.
    Smaller components are more often air beside the body, stomach or bowel. The connected components of each lung, as
    `AsRegionsd` will find it, are found at the resolution of the network, where this is cheap.

    Of the heart, the largest component stays. In a lung to its full extent, a component smaller than `fraction` of the
    largest one becomes background, and a hole becomes lung. In a visible lung, such a component becomes hidden lung,
    and a hole becomes visible.

    Args:
        fraction: smallest area that is kept, relative to the largest component of the lung.
        threshold: the threshold of `AsRegionsd`.
    """

    def __init__(self, fraction: float = 0.5, threshold: float = 0.5) -> None:
        self.fraction, self.threshold = fraction, threshold

    def __call__(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Clean `probabilities` of right lung, left lung and heart, if there is one: (2, W, H) or (3, W, H)."""
        # NumPy takes a sixth of PyTorch's time. A copy, because it is changed in place.
        arrays = np.array(probabilities.cpu().numpy())
        lungs, hearts = arrays[:2], arrays[2:]
        for heart in hearts:
            heart[self._islands(heart > 0.5, 1.0)] = 0.0
        for lung, mask in enumerate(self._masks(lungs)):
            islands = self._islands(mask, self.fraction)
            lungs[:, islands] = 0.0
            holes = self._holes(mask & ~islands)
            lungs[lung, holes] += 1 - lungs[:, holes].sum(0)
        for heart in hearts:
            for lung, mask in enumerate(self._masks(lungs, 1 - heart)):
                islands = self._islands(mask, self.fraction)
                # Neither heart nor visible: half of the probability of a lung that is just above the threshold.
                heart[islands] = np.maximum(heart[islands], 0.5)
                total = lungs[:, islands].sum(0)
                lungs[:, islands] *= np.minimum(total, 1.5 * self.threshold) / total
                holes = self._holes(mask & ~islands)
                lungs[lung, holes] += 1 - lungs[:, holes].sum(0)
                heart[holes] = 0.0
        cleaned = probabilities.clone()
        cleaned[:] = torch.from_numpy(arrays)
        return cleaned

    def _masks(self, lungs: np.ndarray, shown: np.ndarray | float = 1.0) -> Iterator[np.ndarray]:
        """Yield the mask (W, H) of each lung, of which the share `shown` is visible; each one when it is asked for."""
        for left in (False, True):
            yield (lungs.sum(0) * shown > self.threshold) & ((lungs[1] > lungs[0]) == left)

    @staticmethod
    def _islands(mask: np.ndarray, fraction: float) -> np.ndarray:
        """Return the components of `mask` (W, H) smaller than `fraction` of the largest one, as a mask."""
        # Importing SciPy takes long, and the command line must not wait for it.
        from lungseg.transforms.components import find_islands

        return find_islands(mask, fraction)

    @staticmethod
    def _holes(mask: np.ndarray) -> np.ndarray:
        """Return the holes of `mask` (W, H), as a mask."""
        from lungseg.transforms.components import find_holes

        return find_holes(mask)


class CleanComponentsd(MapTransform):
    """Dictionary version of :class:`CleanComponents`.

    Args:
        keys: probabilities (2, W, H) of right and left lung, or (3, W, H) with the heart.
        fraction, threshold: see :class:`CleanComponents`.
    """

    def __init__(self, keys: KeysCollection, fraction: float = 0.5, threshold: float = 0.5) -> None:
        super().__init__(keys)
        self.clean = CleanComponents(fraction, threshold)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.clean(out[key])
        return out
