# SPDX-License-Identifier: Apache-2.0
"""How far to trust a segmentation: an estimate of its Dice, and flags with reasons in words.

The estimate is a regression to the Dice of corrupted radiographs of the training and validation lists. It uses the
features of :mod:`lungseg.quality.features`, among them the agreement with a second network, and the distance of the
lungs' shape from the shapes that annotators drew (a principal component analysis, as in the active shape models of
Cootes et al., 1995).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from os import PathLike
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_tensor

from lungseg.model.weights import load_weights_into
from lungseg.quality.features import contrasts, features, shape
from lungseg.quality.flags import flags
from lungseg.quality.network import QualityNetwork
from lungseg.quality.second_model import SecondModel


class QualityEstimator:
    """Estimate the Dice of a segmentation and find reasons to doubt it.

    Args:
        weights: state dict of :class:`QualityNetwork`.
        second: the second network.

    Raises:
        LungsegError: the weights cannot be used.
    """

    def __init__(self, weights: str | PathLike[str], second: SecondModel) -> None:
        self.network = QualityNetwork()
        load_weights_into(self.network.eval(), weights)
        self.second = second

    @torch.no_grad()
    def __call__(self, image: MetaTensor, probabilities: torch.Tensor) -> tuple[float, dict[str, str]]:
        """Estimate the quality of one segmentation.

        Args:
            image: (1, w, h) as the network saw it, with the metadata of
                :class:`lungseg.transforms.CorrectOrientation` and :class:`lungseg.data.RadiographReader`.
            probabilities: (3, w, h), channels background, right and left lung.

        Returns:
            The estimated Dice of the lungs' union, 0 to 1, and the flags: short name -> reason in words.
        """
        # Each step would copy the metadata with the pixels.
        pixels, probabilities = (convert_to_tensor(one, track_meta=False) for one in (image, probabilities))
        measured = features(pixels, probabilities, self.second(pixels), image.meta)
        outline = torch.from_numpy(shape(probabilities))[None]
        values = torch.tensor([list(measured.values())])
        quality = float(self.network(values, outline)) if measured["area"] else 0.0
        measured["shape_distance"], measured["residual"] = self.network.shape_distance(outline)[0].tolist()
        measured["laterality_logit"] = float(self.network.laterality_logit(outline))
        measured |= contrasts(pixels, probabilities)
        return round(quality, 4), flags(measured, image.meta, quality)


class EstimateQualityd(MapTransform):
    """Add `quality` and `flags`, as :class:`QualityEstimator` returns them, to the data.

    Args:
        keys: the probabilities (2, w, h) of right and left lung, or (3, w, h) with the heart, at the network's
            resolution.
        weights: see :class:`QualityEstimator`.
        second_network, second_weights: see :class:`lungseg.quality.second_model.SecondModel`.
        image_key: the image that the probabilities belong to.
    """

    def __init__(
        self,
        keys: str,
        weights: str | PathLike[str],
        second_network: torch.nn.Module,
        second_weights: str | PathLike[str],
        image_key: str = "image",
    ) -> None:
        super().__init__(keys)
        self.image_key = image_key
        self.estimator = QualityEstimator(weights, SecondModel(second_network, second_weights))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add both to a copy of `data`."""
        out: dict[Hashable, Any] = dict(data)
        for key in self.key_iterator(out):
            out["quality"], out["flags"] = self.estimator(out[self.image_key], _visible(out[key]))
        return out


def _visible(probabilities: torch.Tensor) -> torch.Tensor:
    """Return the probabilities (3, w, h) of background and the visible lungs, of (2|3, w, h) lungs and heart."""
    lungs = probabilities[:2] * (1 - probabilities[2:].sum(0))
    return torch.cat([1 - lungs.sum(0, keepdim=True), lungs])
