# SPDX-License-Identifier: Apache-2.0
"""Everything that a reference states about a radiograph, for training and evaluation."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from lungseg.data.labels import HEART, NOT_STATED, MaskError, read_label, read_values
from lungseg.data.problems import SIZE_MISMATCH

# The channels of a target.
VISIBLE, FULL, HEARTS = range(3)
_CHANNELS = {"visible": VISIBLE, "full": FULL}


def read_targets(case: Mapping[Any, Any]) -> np.ndarray:
    """Read the references of a case.

    Args:
        case: as :func:`lungseg.data.datalist` returns it.

    Returns:
        (3, H, W) uint8: visible lungs and lungs to their full extent (0 background, 1 right, 2 left, 255 lung of
        unknown laterality), and the heart (0, or 3). A pixel that the reference does not state is 254.

    Raises:
        MaskError: a file cannot be used, or the heart has another size than the lungs.
    """
    label = case["label"]
    files = Path(label) if isinstance(label, str | Path) else (Path(label[0]), Path(label[1]))
    lungs = read_label(files, case.get("labels")).labels
    targets = np.full((3, *lungs.shape), NOT_STATED, np.uint8)
    targets[_CHANNELS[case.get("extent", "visible")]] = lungs
    if case.get("heart"):
        heart = read_values(Path(case["heart"])) > 0
        if heart.shape != lungs.shape:
            what = "the masks of the heart and of the lungs differ in size"
            raise MaskError(what, case["heart"], "draw them again", code=SIZE_MISMATCH)
        targets[HEARTS] = np.where(heart, HEART, 0)
    return targets


class LoadTargetsd(MapTransform):
    """Replace the file names of a reference by its targets, (3, W, H) uint8; see :func:`read_targets`.

    Args:
        keys: the reference of the lungs; other items of the case say what it shows.
    """

    def __init__(self, keys: KeysCollection) -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read the reference.

        Raises:
            MaskError: it cannot be used.
        """
        out = dict(data)
        for key in self.key_iterator(out):
            targets = read_targets({**out, "label": out[key]})
            # PyTorch transposes in blocks, which is faster.
            out[key] = torch.from_numpy(targets).mT.contiguous()
        return out
