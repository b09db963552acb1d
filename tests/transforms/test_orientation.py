# SPDX-License-Identifier: Apache-2.0
"""A radiograph is turned and inverted as its metadata say, and its result is turned back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd

from lungseg.transforms import TurnUprightd

UPRIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def stored(rows: np.ndarray, **meta: object) -> MetaTensor:
    """Rows of grey values as MONAI holds them, (1, W, H)."""
    return MetaTensor(torch.from_numpy(rows.T.copy())[None], meta={"view": "PA", **meta})


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("inverted", [False, True])
def test_turns_and_inversion_are_undone_and_results_turned_back(turns, inverted):
    picture = np.rot90(5 - UPRIGHT if inverted else UPRIGHT, turns)
    transform = Compose([TurnUprightd("image")])
    data = transform({"image": stored(picture, quarter_turns=turns, inverted=inverted)})
    np.testing.assert_array_equal(data["image"].as_tensor()[0].T, UPRIGHT)
    assert data["image"].meta["view"] == "PA"
    assert data["image"].meta["quarter_turns"] == turns
    data["pred"] = MetaTensor(data["image"].as_tensor().repeat(2, 1, 1))
    back = Invertd("pred", transform, "image", nearest_interp=False)(data)["pred"]
    np.testing.assert_array_equal(back.as_tensor()[1].T, np.rot90(UPRIGHT, turns))


def test_without_metadata_nothing_changes():
    image = stored(UPRIGHT)
    assert torch.equal(TurnUprightd("image")({"image": image})["image"].as_tensor(), image.as_tensor())
