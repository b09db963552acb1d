# SPDX-License-Identifier: Apache-2.0
"""Segment pictures in memory, and compare the results with references: for fitting the quality and for measuring it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from PIL import Image

from lungseg.data.labels import NOT_STATED
from lungseg.data.targets import FULL, VISIBLE, read_targets
from lungseg.inference.predictor import Prediction, Predictor
from lungseg.io import read_radiograph
from lungseg.quality.features import features, shape
from lungseg.transforms.regions import LungProbabilitiesd, label_map
from recipes.corruptions import Pair, damaged

# Two label maps in one: both are below it.
_SHIFT = 256


class Segmenter:
    """Segments arrays as `lungseg predict` segments files.

    Args:
        weights: see :func:`lungseg.model.paths.weights_file`.
    """

    def __init__(self, weights: str) -> None:
        self.predictor = Predictor(weights, device="cpu")
        self.probabilities = LungProbabilitiesd("pred")

    def __call__(self, pixels: np.ndarray) -> Prediction:
        """Segment `pixels` (H, W)."""
        return self.predictor.predict(np.asarray(pixels, dtype=np.float32))

    @torch.inference_mode()
    def as_read(self, pixels: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, float], np.ndarray]:
        """Segment `pixels` (H, W) as they are, even where the product would turn or invert them.

        Returns:
            Extent -> label map (H, W); the features; the shape; see :mod:`lungseg.quality.features`.
        """
        prepared = self.predictor.prepare(np.asarray(pixels, dtype=np.float32))
        (logits,) = self.predictor.run([prepared])
        probabilities = self.probabilities({"pred": logits})["pred"]
        data = self.predictor.groups["probabilities"]({"image": prepared.image, "pred": logits})
        regions = self.predictor.groups["regions"](data)["pred"][0].T.numpy()
        maps = {extent: label_map(regions, extent) for extent in ("visible", "full")}
        return maps, features(prepared.image.as_tensor(), probabilities), shape(probabilities)


Cases = Iterator[tuple[dict, str, np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]]


def cases(listed: Sequence[dict], kinds: Sequence[str], copies: int, size: int | None = None) -> Cases:
    """Yield each case uncorrupted ("none") and with each kind of corruption: (case, kind, pixels, labels, moved).

    `moved` turns and crops another label map of the uncorrupted picture as the corruption did the labels.

    Args:
        listed: as `lungseg.data.datalist` returns them.
        kinds: of `recipes.corruptions`.
        copies: how often each kind, in different strengths.
        size: larger pictures are reduced until their shorter side has so many pixels.
    """
    for case in listed:
        pixels = read_radiograph(case["image"]).pixels
        labels = read_targets(case, pixels.shape)[FULL if case["extent"] == "full" else VISIBLE]
        if size and min(pixels.shape) > size:
            pixels, labels = _reduced(pixels, labels, size)
        yield case, "none", pixels, labels, np.asarray
        for kind in kinds:
            for copy in range(copies):
                damage = partial(_damage, f"{case['name']} {kind} {copy}", kind, pixels, labels)
                yield case, kind, *damage(labels), lambda other, damage=damage: damage(other)[1]


def _reduced(pixels: np.ndarray, labels: np.ndarray, size: int) -> Pair:
    sides = [round(side * size / min(pixels.shape)) for side in reversed(pixels.shape)]
    small = Image.fromarray(pixels.astype(np.float32)).resize(sides, Image.Resampling.BOX)
    return np.asarray(small), np.asarray(Image.fromarray(labels).resize(sides, Image.Resampling.NEAREST))


def _damage(seed: str, kind: str, pixels: np.ndarray, labels: np.ndarray, other: np.ndarray) -> Pair:
    """Corrupt the picture and `other`, a label map; the random corruption is drawn from `labels`."""
    both = labels.astype(np.uint16) + _SHIFT * other.astype(np.uint16)
    pixels, both = damaged(kind, pixels, both, np.random.default_rng(list(seed.encode())))
    return pixels, (both // _SHIFT).astype(np.uint8)


def dice(prediction: np.ndarray, reference: np.ndarray) -> float:
    """Dice of the unions of two label maps, where the reference states them; 1 if both are empty."""
    stated = reference != NOT_STATED
    ours, theirs = (prediction > 0) & stated, (reference > 0) & stated
    total = int(ours.sum() + theirs.sum())
    return float(2 * (ours & theirs).sum() / total) if total else 1.0
