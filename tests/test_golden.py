# SPDX-License-Identifier: Apache-2.0
"""The shipped weights find the same lungs as ever: pixels of each label on three radiographs that lie here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import lungseg

GOLDEN = Path(__file__).parent / "golden"
# File -> (H, W), pixels of the right and of the left lung.
COUNTS = {
    "cr.png": ((489, 461), (41307, 37647)),
    "phantom_landscape.png": ((330, 420), (14878, 14034)),
    "phantom_portrait.png": ((400, 300), (13602, 13842)),
}
# Processors differ in the last bits of a sum.
TOLERANCE = 1e-3


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", COUNTS)
def test_pixels_of_each_label(name):
    shape, counts = COUNTS[name]
    labels = lungseg.load(device="cpu").predict(GOLDEN / name).labels
    assert labels.shape == shape
    assert set(np.unique(labels)) == {0, 1, 2}
    assert [int((labels == label).sum()) for label in (1, 2)] == pytest.approx(counts, rel=TOLERANCE)
