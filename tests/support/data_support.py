# SPDX-License-Identifier: Apache-2.0
"""Small data sets for the tests of lungseg.data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungseg.data import phantom

REAL = Path(os.environ.get("LUNGSEG_DATA", "/nonexistent"))
needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(), reason="set LUNGSEG_DATA to the folder of the public radiographs"
)
LOPSIDED = (
    "CHNCXR_0361_1",
    "CHNCXR_0370_1",
    "CHNCXR_0526_1",
    "CHNCXR_0569_1",
    "CHNCXR_0603_1",
    "CHNCXR_0606_1",
)
SIZE = (96, 80)


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def image_of(seed: int = 0) -> np.ndarray:
    return phantom(seed, SIZE)[0]


def labels_of(seed: int = 0) -> np.ndarray:
    return phantom(seed, SIZE)[1]


def mask_of(seed: int = 0) -> np.ndarray:
    return (labels_of(seed) > 0).astype(np.uint8) * 255


def kaggle(folder: Path, *names: str, suffix: str = "") -> Path:
    """Write a data set of phantoms in Kaggle's layout."""
    for seed, name in enumerate(names):
        save(folder / "CXR_png" / f"{name}.png", image_of(seed))
        save(folder / "masks" / f"{name}{suffix}.png", mask_of(seed))
    return folder
