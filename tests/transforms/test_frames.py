# SPDX-License-Identifier: Apache-2.0
"""Frames are taken off a picture, and nothing of an ordinary radiograph is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from field_frames import _light_box, _window
from monai.data import MetaTensor
from monai.transforms import CropForegroundd

from lungseg.data import phantom
from lungseg.transforms import foreground_mask


def box(pixels: np.ndarray) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of what lies inside, in pixels."""
    rows, columns = foreground_mask(torch.from_numpy(pixels.T.copy())[None])[0].T.nonzero()
    return int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1


@pytest.mark.parametrize(("frame", "top", "left"), [(_window, 90, 140), (_light_box, 65, 110)])
def test_a_radiograph_is_found_in_its_frame(frame, top, left):
    pixels, labels = phantom(1)
    height, width = pixels.shape
    found = np.array(box(frame(pixels, labels)[0]))
    # The air of the phantom may be taken off, too.
    assert np.abs(found - [top, top + height, left, left + width]).max() < 0.04 * width
    assert not foreground_mask(torch.zeros(1, 9, 7)).sum() < 63


@pytest.mark.parametrize("number", range(1, 5))
def test_an_opaque_lung_with_a_straight_border_stays(number):
    pixels, _ = phantom(number)
    opaque = pixels.copy()
    opaque[len(pixels) // 3 :, pixels.shape[1] // 2 :] = 235
    assert box(opaque)[3] > 0.9 * pixels.shape[1]


def test_a_crop_of_a_frame_comes_back():
    pixels, labels = phantom(1)
    framed, _ = _window(pixels, labels)
    crop = CropForegroundd("image", "image", select_fn=foreground_mask, start_coord_key=None, end_coord_key=None)
    image = MetaTensor(torch.from_numpy(framed.T.copy())[None])
    inside = torch.from_numpy(foreground_mask(image))
    back = crop.inverse(crop({"image": image}))["image"]
    assert back.shape == image.shape
    assert torch.equal(back[inside], image[inside])
    assert not back[~inside].any()
