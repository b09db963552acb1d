# SPDX-License-Identifier: Apache-2.0
"""Regions of a radiograph's own size equal those of probabilities that are enlarged first."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, CropForegroundd, Invertd
from scipy import ndimage

from lungseg.inference.cardiothoracic import find_profiles
from lungseg.transforms import AsNativeRegionsd, AsRegionsd, ResizeShorterSided, TurnUprightd
from lungseg.transforms.components import component_sizes, find_holes, find_islands
from lungseg.transforms.filters import add_up, highest, lowest
from lungseg.transforms.native import find_place

SIZE = 32


def seen_by_the_network(shape: tuple[int, int], turns: int, parts: tuple[str, ...]) -> tuple[dict, Compose]:
    """A picture with margins, (1, W, H), after some transforms, with smooth probabilities of both lungs and a heart."""
    picture = torch.zeros(1, *shape)
    picture[:, 7:-20, 11:-5] = 1
    steps = {
        "turn": TurnUprightd("image"),
        "crop": CropForegroundd("image", "image", start_coord_key=None, end_coord_key=None),
        "resize": ResizeShorterSided("image", SIZE),
    }
    transform = Compose([steps[part] for part in parts])
    data = transform({"image": MetaTensor(picture, meta={"quarter_turns": turns})})
    noise = torch.randn(4, *data["image"].shape[1:], generator=torch.Generator().manual_seed(turns))
    logits = 12 * torch.nn.functional.avg_pool2d(noise, 7, 1, 3)
    data["pred"] = MetaTensor(torch.cat([logits[:3].softmax(0)[1:], logits[3:].sigmoid()]))
    return data, transform


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("shape", [(190, 333), (301, 200), (50, 47)])
@pytest.mark.parametrize("channels", [2, 3])
def test_regions_equal_those_of_enlarged_probabilities(shape, turns, channels):
    data, transform = seen_by_the_network(shape, turns, ("turn", "crop", "resize"))
    data["pred"] = data["pred"][:channels]
    enlarged = Invertd("pred", transform, "image", nearest_interp=False)(data)
    expected = AsRegionsd("pred", 0.45)(enlarged)["pred"]
    found = AsNativeRegionsd("pred", "image", transform, 0.45)(data)["pred"]
    assert found.shape == expected.shape == (1, *shape)
    assert len(expected.unique()) >= 3
    # A processor may round the last bit of a probability in another way than this one.
    assert (found != expected).float().mean() < 1e-4
    assert found.applied_operations == []
    if turns == 0:
        torch.testing.assert_close(found.affine, expected.affine)


@pytest.mark.parametrize("parts", [("resize",), ("crop", "turn", "resize")])
def test_pictures_that_were_prepared_otherwise_are_inverted_by_monai(parts):
    data, transform = seen_by_the_network((190, 333), 1, parts)
    assert find_place(data["image"]) is None
    enlarged = Invertd("pred", transform, "image", nearest_interp=False)(data)
    found = AsNativeRegionsd("pred", "image", transform, 0.45)(data)["pred"]
    assert torch.equal(found, AsRegionsd("pred", 0.45)(enlarged)["pred"])


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("axis", [0, 1])
def test_profiles_equal_those_of_enlarged_probabilities(turns, axis):
    data, transform = seen_by_the_network((190, 333), turns, ("turn", "crop", "resize"))
    enlarged = Invertd("pred", transform, "image", nearest_interp=False)(data)["pred"].as_tensor().mT.numpy()
    expected = find_profiles(enlarged[:, ::3, ::3], axis)
    found = find_place(data["image"]).profiles(data["pred"], 3, axis)
    # The margins, where there is no probability, are left out, and a turned picture may begin at its other end.
    np.testing.assert_allclose(found, expected[:, expected.max(axis=0) > 0], atol=1e-6)


@pytest.mark.parametrize("shape", [(30, 41), (5, 3), (1, 9)])
@pytest.mark.parametrize("size", [3, 5, 21])
def test_extremes_equal_those_of_scipy(shape, size):
    values = np.random.default_rng(size).random(shape, dtype=np.float32)
    np.testing.assert_array_equal(highest(values, size), ndimage.maximum_filter(values, size, mode="nearest"))
    np.testing.assert_array_equal(lowest(values, size), ndimage.minimum_filter(values, size, mode="nearest"))


@pytest.mark.parametrize("count", [1, 3, 8, 11])
def test_arrays_are_added_up_in_the_order_of_numpy(count):
    values = np.random.default_rng(count).random((50, 20, count), dtype=np.float32)
    np.testing.assert_array_equal(add_up(list(np.moveaxis(values, 2, 0))), values.sum(axis=2))


def test_components_are_those_of_the_whole_mask():
    mask = np.random.default_rng(0).random((60, 50)) > 0.5
    mask[:5], mask[:, 40:] = False, False
    numbers, count = ndimage.label(mask)
    sizes = np.bincount(numbers.ravel())[1:]
    assert component_sizes(mask).tolist() == sizes.tolist()
    small = 1 + np.flatnonzero(sizes < 0.5 * sizes.max())
    np.testing.assert_array_equal(find_islands(mask, 0.5), np.isin(numbers, small))
    np.testing.assert_array_equal(find_holes(mask), ndimage.binary_fill_holes(mask) & ~mask)
    assert count > 10
    nothing = np.zeros((4, 6), bool)
    assert not find_holes(nothing).any()
    assert not find_islands(nothing, 0.5).any()
    assert component_sizes(nothing).size == 0
