# SPDX-License-Identifier: Apache-2.0
"""Masks of another size than their image are used if they show the same picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from data_support import kaggle, labels_of, mask_of, save
from errors_support import fails
from PIL import Image

from lungseg.data import LoadTargetsd, check_data, find_data
from lungseg.data.labels import MaskError
from lungseg.data.problems import SIZE_MISMATCH
from lungseg.data.sizes import fit_to_image
from lungseg.data.targets import HEARTS, VISIBLE, read_targets


def scaled(array: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(array).resize((width, height), Image.Resampling.NEAREST))


@pytest.mark.parametrize(
    ("mask", "image"),
    [
        ((256, 256), (299, 299)),
        ((1024, 1024), (2048, 2048)),
        ((256, 312), (2048, 2500)),
        ((256, 313), (2048, 2500)),
        ((4020, 4892), (512, 623)),
        ((48, 40), (96, 81)),
    ],
)
def test_rounded_sizes_are_the_same_picture(mask, image):
    fitted = fit_to_image(np.eye(*mask, dtype=np.uint8), image)
    assert fitted.shape == image
    assert set(np.unique(fitted)) <= {0, 1}


@pytest.mark.parametrize(
    ("mask", "image"), [((256, 256), (2048, 2500)), ((96, 80), (80, 96)), ((512, 500), (512, 512))]
)
def test_another_aspect_ratio_is_refused_with_both_sizes(mask, image):
    with fails(SIZE_MISMATCH, MaskError) as caught:
        fit_to_image(np.zeros(mask, np.uint8), image)
    assert f"{mask[1]} x {mask[0]} pixels, the image {image[1]} x {image[0]}" in caught.value.what


def test_every_pixel_of_a_doubled_mask_is_four_pixels():
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(fit_to_image(mask, (6, 8)), mask.repeat(2, 0).repeat(2, 1))


def test_targets_have_the_size_of_the_image(tmp_path):
    lungs = save(tmp_path / "lungs.png", scaled(labels_of(), 48, 40))
    heart = save(tmp_path / "heart.png", scaled(mask_of(), 72, 60))
    case = {"label": str(lungs), "heart": str(heart)}
    image = np.zeros((1, 96, 80), np.float32)
    targets = LoadTargetsd("label")({**case, "image": image})["label"].numpy()
    assert targets.shape == (3, 96, 80)
    assert np.mean(labels_of() == targets[VISIBLE].T) > 0.97
    assert np.mean((targets[HEARTS].T > 0) == (mask_of() > 0)) > 0.97
    assert read_targets(case).shape == (3, 40, 48)
    with fails(SIZE_MISMATCH, MaskError) as caught:
        read_targets(case, (96, 96))
    assert caught.value.where == lungs


def test_one_line_counts_the_masks_that_are_resized(tmp_path):
    folder = kaggle(tmp_path, *"abc")
    for name in "ab":
        save(folder / f"masks/{name}.png", scaled(mask_of(), 48, 40))
    result = check_data(find_data(folder))
    assert not result.problems
    assert result.resized == {"a": ((48, 40), (96, 80)), "b": ((48, 40), (96, 80))}
    (line,) = [line for line in str(result).splitlines() if "another size" in line]
    assert line.strip().startswith("2 masks have another size than their image (48 x 40 for 96 x 80 pixels)")


def test_a_heart_that_cannot_be_used_is_a_problem_of_its_case(tmp_path):
    folder = kaggle(tmp_path, "a")
    layout = find_data(folder)
    pairing = layout.pair()
    heart = save(tmp_path / "heart.png", mask_of()[:50])
    cases = [replace(case, heart=heart) for case in pairing.pairs]
    result = check_data(replace(layout, pair=lambda: replace(pairing, pairs=cases)))
    assert [(problem.file, problem.kind) for problem in result.problems] == [(heart, SIZE_MISMATCH)]
