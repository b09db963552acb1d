# SPDX-License-Identifier: Apache-2.0
"""The few dictionary transforms for inference and training that MONAI lacks.

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
    """Give islands back to the background and fill holes, before probabilities are enlarged.

    A lung is one piece without holes, but for what crosses it. The connected components of each lung, as
    `AsLungLabelsd` will draw it, are found at the network's resolution, where this is cheap: one
    smaller than `fraction` of that lung's
    largest loses its lung probability, and what a lung encloses loses its background probability. A lung that something
    crosses may be two pieces of some size; smaller ones are air beside the body, stomach or bowel more often than lung.

    Args:
        fraction: smallest kept area relative to the lung's largest component.
        threshold: that of `AsLungLabelsd`.
    """

    def __init__(self, fraction: float = 0.5, threshold: float = 0.5) -> None:
        self.fraction, self.threshold = fraction, threshold

    def __call__(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Tidy `probabilities`, shape (3, W, H), channels background, right lung, left lung."""
        # NumPy finds it in a sixth of PyTorch's time.
        _, right, left = probabilities.cpu().numpy()
        labels = np.where(right + left > self.threshold, np.where(left > right, 2, 1), 0)
        tidy = probabilities.clone()
        for lung in (1, 2):
            islands, holes = self._faults(labels == lung)
            tidy[:, islands.to(tidy.device)] = tidy.new_tensor([1.0, 0.0, 0.0])[:, None]
            holes = holes.to(tidy.device)
            tidy[0, holes], tidy[lung, holes] = 0.0, tidy[lung, holes] + tidy[0, holes]
        return tidy

    def _faults(self, lung: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Find islands and holes of the mask `lung` (W, H), as masks of that shape."""
        # Imported late: the command line must not wait for SciPy.
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
        self.tidy = CleanComponents(fraction, threshold)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.tidy(out[key])[1:]
        return out


class AsLungLabelsd(MapTransform):
    """Labels from the two lungs' probabilities: (2, W, H), or (3, W, H) with the background, becomes (1, W, H) uint8.

    A pixel is lung where both together are more probable than `threshold`, and belongs to the likelier side. At one
    half the areas come out two percent too small, for a network that is unsure of a border prefers the background;
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
            right, left = (out[key].as_tensor() if isinstance(out[key], MetaTensor) else out[key])[-2:]
            labels = (left > right).to(torch.uint8).add_(1).mul_(right + left > self.threshold)[None]
            out[key] = MetaTensor(labels).copy_meta_from(out[key]) if isinstance(out[key], MetaTensor) else labels
        return out
