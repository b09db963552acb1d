# SPDX-License-Identifier: Apache-2.0
"""How far to trust a segmentation: an estimate of its Dice, and flags with reasons in words.

The estimate is a regression from what :mod:`lungseg.quality.features` measures, agreement with a second network
included, and from how far the lungs' shape lies from those that annotators drew (a principal component
analysis, as in Cootes' active shape models, 1995), to the Dice that damaged
radiographs of the training and validation lists reached.
`recipes/quality.py` fits it, `benchmarks/robustness.py` measures it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from os import PathLike

import torch
from monai.transforms import MapTransform
from monai.utils import convert_to_tensor

from lungseg.model.weights import load_weights_into
from lungseg.quality.features import contrasts, features, shape
from lungseg.quality.flags import flags
from lungseg.quality.network import QualityNetwork
from lungseg.quality.second_model import SecondModel


class QualityEstimator:
    """Judges segmentations.

    Args:
        weights: state dict of :class:`QualityNetwork`.
        second: the second network.

    Raises:
        LungsegError: the weights cannot be used.
    """

    def __init__(self, weights: str | PathLike, second: SecondModel) -> None:
        self.network = load_weights_into(QualityNetwork(), weights).eval()
        self.second = second

    @torch.no_grad()
    def __call__(self, image: torch.Tensor, probabilities: torch.Tensor) -> tuple[float, dict[str, str]]:
        """QualityEstimator a segmentation.

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
        keys: the probabilities (3, w, h), at the network's resolution.
        image_key: the image that they were made from.
        weights, second: see :class:`QualityEstimator`.
    """

    def __init__(self, keys: str, weights: str | PathLike, second: SecondModel, image_key: str = "image") -> None:
        super().__init__(keys)
        self.image_key, self.judge = image_key, QualityEstimator(weights, second)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, object]:
        out: dict[Hashable, object] = dict(data)
        for key in self.key_iterator(out):
            out["quality"], out["flags"] = self.judge(out[self.image_key], out[key])
        return out
