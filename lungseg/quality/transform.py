# SPDX-License-Identifier: Apache-2.0
"""How far to trust a segmentation: an estimate of its Dice with a lower bound, and flags in words.

The estimate is a regression to the Dice of results on radiographs of hospitals that the network did not see, and on
corrupted ones. It uses the features of :mod:`lungseg.quality.features` and the distance of the lungs' shape from the
shapes of good results (a principal component analysis, as in the active shape models of Cootes et al., 1995).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_tensor

from lungseg.model.weights import load_weights_into
from lungseg.quality.features import features, shape
from lungseg.quality.flags import find_doubts, find_notes
from lungseg.quality.network import QualityNetwork
from lungseg.quality.recognition import Recogniser


@dataclass(frozen=True)
class Judgement:
    """How far to trust a segmentation.

    Attributes:
        quality: the estimated Dice of the lungs' union, 0 to 1.
        quality_lower: lower bound of the Dice, meant to hold for nine in ten radiographs.
        notes: facts about the picture: short name -> sentence.
        doubts: reasons to doubt the result: short name -> sentence.
        recognised: probabilities of the picture, see :class:`lungseg.quality.recognition.Recogniser`.
    """

    quality: float
    quality_lower: float
    notes: dict[str, str]
    doubts: dict[str, str]
    recognised: dict[str, float]


class QualityEstimator:
    """Judge segmentations.

    Args:
        weights: state dict of :class:`QualityNetwork`.
        recognition: state dict of :func:`lungseg.quality.recognition.recognition_network`.

    Raises:
        LungsegError: the weights cannot be used.
    """

    def __init__(self, weights: str | PathLike[str], recognition: str | PathLike[str]) -> None:
        self.network = QualityNetwork()
        load_weights_into(self.network.eval(), weights)
        self.recognise = Recogniser(recognition)

    @torch.no_grad()
    def __call__(self, image: MetaTensor, probabilities: torch.Tensor) -> Judgement:
        """Judge one segmentation.

        Args:
            image: (1, w, h) as the network saw it, with the metadata of
                :class:`lungseg.transforms.TurnUpright` and :class:`lungseg.data.RadiographReader`.
            probabilities: (2, w, h) of right and left lung; or (3, w, h) of both to their full extent, and of the
                heart.
        """
        # Each step would copy the metadata with the pixels.
        pixels, probabilities = (convert_to_tensor(one, track_meta=False) for one in (image, probabilities))
        measured, shapes = features(pixels, probabilities), torch.from_numpy(shape(probabilities))[None]
        quality = lower = 0.0
        if measured["area"]:
            estimates = self.network(torch.tensor([list(measured.values())]), shapes)
            quality, lower = (round(float(estimate), 4) for estimate in estimates)
        recognised = self.recognise(pixels)
        measured |= self.network.outline(shapes) | recognised
        notes, doubts = find_notes(measured, image.meta), find_doubts(measured, image.meta, quality)
        return Judgement(quality, lower, notes, doubts, recognised)


class EstimateQualityd(MapTransform):
    """Add `quality`, `quality_lower`, `notes`, `doubts` and `recognised` to the data, see :class:`Judgement`.

    Args:
        keys: the probabilities (2, w, h) or (3, w, h), at the network's resolution.
        weights, recognition: see :class:`QualityEstimator`.
        image_key: the image that the probabilities belong to.
    """

    def __init__(
        self,
        keys: str,
        weights: str | PathLike[str],
        recognition: str | PathLike[str],
        image_key: str = "image",
    ) -> None:
        super().__init__(keys)
        self.image_key = image_key
        self.estimator = QualityEstimator(weights, recognition)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add them to a copy of `data`."""
        out: dict[Hashable, Any] = dict(data)
        for key in self.key_iterator(out):
            out.update(vars(self.estimator(out[self.image_key], out[key])))
        return out
