# SPDX-License-Identifier: Apache-2.0
"""Turned and inverted radiographs are recognised, set upright, and their results put back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd

from lungseg.model.paths import bundle_root
from lungseg.transforms.orientation import SIZE, CorrectOrientationd, orientation_classifier, thumbnail

WEIGHTS = bundle_root() / "models" / "upright.pt"


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_radiograph_gets_the_turned_result(radiograph, segment, turns):
    upright, turned = segment(radiograph), segment(np.rot90(radiograph, turns))
    assert "quarter-turn" not in upright.notes
    assert "quarter-turn" in turned.notes
    assert np.array_equal(turned.labels, np.rot90(upright.labels, turns))


def test_an_inverted_radiograph_gets_the_same_result(radiograph, segment):
    upright, inverted = segment(radiograph), segment(255 - radiograph)
    assert "inverted" not in upright.notes
    assert "inverted" in inverted.notes
    assert np.mean(inverted.labels != upright.labels) < 1e-3


def test_turned_and_inverted_at_once(radiograph, segment):
    upright, both = segment(radiograph), segment(np.rot90(255 - radiograph))
    assert {"quarter-turn", "inverted"} <= set(both.notes)
    assert np.mean(both.labels != np.rot90(upright.labels)) < 1e-3


def test_the_transform_and_its_inverse_are_exact(radiograph):
    transform = Compose([CorrectOrientationd("image", WEIGHTS)])
    stored = torch.from_numpy(np.rot90(radiograph).T.astype(np.float32).copy())[None]
    data = transform({"image": MetaTensor(stored)})
    assert data["image"].meta["quarter_turns"] == 1
    torch.testing.assert_close(data["image"].as_tensor()[0], torch.from_numpy(radiograph.T.astype(np.float32)))
    data["pred"] = MetaTensor(data["image"].as_tensor().repeat(2, 1, 1))
    back = Invertd("pred", transform, "image", nearest_interp=False)(data)["pred"]
    assert back.shape == (2, *stored.shape[1:])
    assert torch.equal(back.as_tensor()[0], stored[0])


@pytest.mark.parametrize("shape", [(300, 200), (64, 64), (17, 40), (2000, 1500)])
def test_thumbnails_have_one_size_and_range(shape):
    small = thumbnail(torch.rand(1, *shape) * 4000 - 1000)
    assert small.shape == (1, SIZE, SIZE)
    assert 0 <= small.min() <= small.max() <= 1


def test_the_network_has_an_output_for_each_question():
    assert orientation_classifier().eval()(torch.zeros(2, 1, SIZE, SIZE)).shape == (2, 7)
