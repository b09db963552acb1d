# SPDX-License-Identifier: Apache-2.0
"""Views, turns, inversion and mirroring are recognised on thumbnails of any picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lungseg.model.paths import bundle_root
from lungseg.quality.recognition import SIZE, Recogniser, recognition_network, thumbnail

TURNS = ("upright", "turned_90", "turned_180", "turned_270")


@pytest.fixture(scope="module")
def recognise():
    """Recognises pixels (H, W)."""
    recogniser = Recogniser(bundle_root() / "models" / "recognition.pt")
    return lambda pixels: recogniser(torch.from_numpy(pixels.T.astype(np.float32))[None])


def test_every_answer_is_a_probability(recognise, radiograph):
    found = recognise(radiograph)
    assert list(found) == ["frontal", "lateral", *TURNS, "inverted", "mirrored"]
    assert all(0 <= probability <= 1 for probability in found.values())
    assert sum(found[name] for name in TURNS) == pytest.approx(1)
    assert found["frontal"] + found["lateral"] <= 1 + 1e-6


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_turns_are_recognised(recognise, radiograph, turns):
    found = recognise(np.rot90(radiograph, turns))
    assert max(TURNS, key=found.get) == TURNS[turns]
    assert found["frontal"] > 0.5


def test_inversion_and_mirroring_are_recognised(recognise, radiograph):
    assert recognise(radiograph)["inverted"] < 0.5 < recognise(255 - radiograph)["inverted"]
    assert recognise(radiograph)["mirrored"] < 0.5 < recognise(radiograph[:, ::-1])["mirrored"]


def test_noise_is_not_frontal(recognise):
    assert recognise(np.random.default_rng(0).normal(size=(300, 200)))["frontal"] < 0.5


@pytest.mark.parametrize("shape", [(300, 200), (64, 64), (17, 40), (2000, 1500)])
def test_thumbnails_have_one_size_and_range(shape):
    small = thumbnail(torch.rand(1, *shape) * 4000 - 1000)
    assert small.shape == (1, SIZE, SIZE)
    assert 0 <= small.min() <= small.max() <= 1


def test_the_network_has_an_output_for_each_question():
    assert recognition_network().eval()(torch.zeros(2, 1, SIZE, SIZE)).shape == (2, 9)
