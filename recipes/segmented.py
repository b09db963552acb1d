# SPDX-License-Identifier: Apache-2.0
"""Segment pictures in memory, and keep the inputs of the quality estimate: for fitting and for measuring it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lungseg.data import LungLabelReader
from lungseg.inference.predictor import Predictor
from lungseg.io import read_radiograph, write_png
from recipes.corruptions import Pair, damaged

# Two label maps in one: both are below it.
_SHIFT = 4


class Segmenter:
    """Segments arrays as `lungseg predict` segments files.

    Args:
        weights: see :func:`lungseg.model.paths.weights_file`.
    """

    def __init__(self, weights: str) -> None:
        self.predictor = Predictor(weights, device="cpu")
        self.folder = tempfile.TemporaryDirectory()

    def __call__(self, pixels: np.ndarray):
        """Segment `pixels` (H, W).

        Returns:
            The prediction, the image (1, w, h) that the network saw, and its probabilities (3, w, h).
        """
        low, high = float(pixels.min()), float(pixels.max())
        path = Path(self.folder.name) / "picture.png"
        write_png(path, ((pixels - low) / max(high - low, 1e-6) * 255).astype(np.uint8))
        prepared = self.predictor.prepare(path)
        (logits,) = self.predictor.run([prepared])
        return self.predictor.finish(prepared, logits), prepared.image, torch.as_tensor(logits).softmax(0)


Cases = Iterator[tuple[dict, str, np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]]


def cases(listed: list[dict], kinds: list[str], copies: int) -> Cases:
    """Yield each case uncorrupted ("none") and with each kind of corruption: (case, kind, pixels, labels, moved).

    `moved` turns and crops another label map of the uncorrupted picture as the corruption did the labels.

    Args:
        listed: as `lungseg.data.datalist` returns them.
        kinds: of `recipes.corruptions`.
        copies: how often each kind, in different strengths.
    """
    for case in listed:
        pixels = read_radiograph(case["image"]).pixels
        labels = np.asarray(LungLabelReader().get_data(case["label"])[0]).T
        yield case, "none", pixels, labels, np.asarray
        for kind in kinds:
            for copy in range(copies):
                damage = partial(_damage, f"{case['name']} {kind} {copy}", kind, pixels, labels)
                yield case, kind, *damage(labels), lambda other, damage=damage: damage(other)[1]


def _damage(seed: str, kind: str, pixels: np.ndarray, labels: np.ndarray, other: np.ndarray) -> Pair:
    """Corrupt the picture and `other`, a label map; the random corruption is drawn from `labels`."""
    both = labels + _SHIFT * other
    pixels, both = damaged(kind, pixels, both, np.random.default_rng(list(seed.encode())))
    return pixels, both // _SHIFT


def dice(prediction: np.ndarray, reference: np.ndarray) -> float:
    """Dice of the unions of two label maps; 1 if both are empty."""
    ours, theirs = prediction > 0, reference > 0
    total = int(ours.sum() + theirs.sum())
    return float(2 * (ours & theirs).sum() / total) if total else 1.0
