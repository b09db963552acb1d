# SPDX-License-Identifier: Apache-2.0
"""Batches for the recognition of pictures: their classes, and that changes do not spoil them."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from lungseg.io import write_png
from lungseg.quality.recognition import FRONTAL, LATERAL, OTHER, SIZE
from recipes.recognition import fit
from recipes.recognition_images import Bank, Picture, plain, wrong_views


def picture(source: str, view: int) -> Picture:
    """Two dark lungs in a light body, with dark air at both sides, or a ramp."""
    pixels, lungs = torch.full((128, 128), 0.8), torch.zeros(128, 128)
    lungs[20:55, 30:100] = lungs[73:108, 30:90] = 1
    pixels = torch.where(lungs > 0, 0.2, pixels)
    pixels[:8] = pixels[-8:] = 0
    if view != FRONTAL:
        pixels, lungs = torch.linspace(0, 1, 128).expand(128, 128), torch.zeros(128, 128)
    return Picture(source, source, view, pixels, lungs)


@pytest.fixture
def pictures() -> list[Picture]:
    return [picture("hospital", FRONTAL), picture("lateral", LATERAL), picture("photographs", OTHER)]


def test_batches_hold_all_classes(pictures):
    torch.manual_seed(0)
    images, truth = Bank(pictures).batch(64)
    assert images.shape == (64, 1, SIZE, SIZE)
    assert images.isfinite().all()
    assert 0 <= images.min() <= images.max() <= 1
    assert {name: set(values.tolist()) for name, values in truth.items()} == {
        "view": {FRONTAL, LATERAL, OTHER},
        "turns": {0, 1, 2, 3},
        "mirrored": {0, 1},
        "inverted": {0, 1},
    }
    assert (truth["view"] == FRONTAL).float().mean() > 0.5


def test_air_around_the_body_is_known_and_lungs_are_not_air(pictures):
    pixels, lungs, air = Bank(pictures).chests[0]
    assert torch.equal(air > 0, pixels == 0)
    assert not (air * lungs).any()


def test_undamaged_thumbnails_are_turned_as_pictures_are(pictures):
    as_it_is, turned = plain(pictures, lambda pixels: pixels), plain(pictures, lambda pixels: pixels.rot90(-1))
    assert as_it_is.shape == (3, 1, SIZE, SIZE)
    assert torch.allclose(turned, as_it_is.rot90(-1, (2, 3)), atol=1e-3)


def test_views_of_one_section_are_read(tmp_path):
    (tmp_path / "other").mkdir()
    rows = [("lateral_1", "lateral", "a", "train"), ("ct_1", "ct", "b", "train"), ("ct_2", "ct", "c", "test")]
    with (tmp_path / "other.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("name", "kind", "patient", "split"), *rows])
    for name, *_ in rows:
        write_png(tmp_path / "other" / f"{name}.png", np.random.default_rng(0).integers(0, 255, (90, 70), np.uint8))
    found = wrong_views(tmp_path, "train")
    assert [(one.source, one.patient, one.view) for one in found] == [("lateral", "a", LATERAL), ("ct", "b", OTHER)]
    assert all(one.pixels.shape == (128, 128) for one in found)


def test_a_few_steps_train_a_network(pictures):
    torch.manual_seed(0)
    network = fit(pictures, 3)
    assert network(plain(pictures, lambda pixels: pixels)).isfinite().all()
