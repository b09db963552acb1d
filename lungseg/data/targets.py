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

from lungseg.data.label_files import read_label, read_values
from lungseg.data.labels import HEART, NOT_STATED, MaskError
from lungseg.data.pairing import Label
from lungseg.data.sizes import fit_to_image

# The channels of a target.
VISIBLE, FULL, HEARTS = range(3)
_CHANNELS = {"visible": VISIBLE, "full": FULL}


def read_targets(case: Mapping[Any, Any], shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Read the references of a case.

    Args:
        case: as :func:`lungseg.data.datalist` returns it.
        shape: (height, width) of the image, to which masks of another size are brought by nearest neighbour; by default
            the size of the lungs' mask.

    Returns:
        (3, H, W) uint8: visible lungs and lungs to their full extent (0 background, 1 right, 2 left, 255 lung of
        unknown laterality), and the heart (0, or 3). A pixel that the reference does not state is 254.

    Raises:
        MaskError: a file cannot be used, or has another aspect ratio than the image.
    """
    label = case["label"]
    files = Path(label) if isinstance(label, str | Path) else (Path(label[0]), Path(label[1]))
    lungs = read_label(files, case.get("labels")).labels
    shape = shape or lungs.shape
    targets = np.full((3, *shape), NOT_STATED, np.uint8)
    targets[_CHANNELS[case.get("extent", "visible")]] = _fitted(lungs, shape, files)
    if case.get("heart"):
        heart = Path(case["heart"])
        targets[HEARTS] = np.where(_fitted(read_values(heart) > 0, shape, heart), HEART, 0)
    return targets


def _fitted(values: np.ndarray, shape: tuple[int, ...], files: Label) -> np.ndarray:
    try:
        return fit_to_image(values, shape)
    except MaskError as error:
        file = files[0] if isinstance(files, tuple) else files
        raise MaskError(error.what, file, error.remedy, code=error.code) from error


class LoadTargetsd(MapTransform):
    """Replace the file names of a reference by its targets, (3, W, H) uint8; see :func:`read_targets`.

    The targets have the size of the item `image` if that is loaded already, (..., W, H).

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
        image = out.get("image")
        shape = tuple(image.shape[:-3:-1]) if isinstance(image, torch.Tensor | np.ndarray) else None
        for key in self.key_iterator(out):
            targets = read_targets({**out, "label": out[key]}, shape)
            # PyTorch transposes in blocks, which is faster.
            out[key] = torch.from_numpy(targets).mT.contiguous()
        return out
