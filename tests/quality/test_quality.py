# SPDX-License-Identifier: Apache-2.0
"""The estimate of quality and its flags: exact on drawn shapes, in order on real and on wrong pictures."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from images_support import write_dicom
from scipy import ndimage

import lungseg
from lungseg.quality.features import NAMES, contrasts, features, shape
from lungseg.quality.flags import _RULES, FLAGS
from lungseg.quality.second_model import SecondModel

META = {"frontal": 0.99, "upright": 1.0, "mirrored": 0.0, "view": "", "quarter_turns": 0, "inverted": 0}


def lungs(right: tuple, left: tuple, size: tuple = (120, 100)) -> torch.Tensor:
    """Probabilities (3, w, h) of two sure ellipses, each (x, y, radius along x, radius along y)."""
    x, y = torch.meshgrid(*(torch.arange(n) for n in size), indexing="ij")
    inside = [((x - a) / c) ** 2 + ((y - b) / d) ** 2 <= 1 for a, b, c, d in (right, left)]
    return torch.stack([~(inside[0] | inside[1]), inside[0], inside[1]]).float()


def measured(probabilities: torch.Tensor, second: torch.Tensor | None = None) -> dict[str, float]:
    union = probabilities[1:].sum(0, keepdim=True)
    return features(0.8 - 0.5 * union, probabilities, probabilities if second is None else second, META)


def test_features_of_two_ellipses():
    found = measured(lungs((35, 50, 15, 30), (85, 50, 15, 30)))
    assert tuple(found) == NAMES
    assert found["agreement"] == found["second"] == found["right_second"] == found["left_second"] == 1
    assert found["blur"] == found["confusion"] == found["islands"] == found["holes"] == found["edge"] == 0
    assert found["area"] == pytest.approx(2 * math.pi * 15 * 30 / 12000, rel=0.02)
    assert found["right_share"] == pytest.approx(0.5, abs=0.01)
    assert found["tilt"] == pytest.approx(0, abs=0.1)
    assert found["aspect"] == pytest.approx(81 / 61, abs=0.01)
    assert found["sides"] == pytest.approx(50 / 81, abs=0.01)
    assert found["contrast"] == pytest.approx(0.5, abs=1e-5)
    assert found["inside"] == pytest.approx(0.3, abs=1e-5)
    # An ellipse twice as long as wide: its perimeter squared is 1.19 times that of a circle of its area.
    assert found["right_roughness"] == pytest.approx(1.19, rel=0.1)


def test_features_see_what_is_wrong():
    tilted = measured(lungs((35, 40, 12, 20), (85, 75, 12, 20)))
    assert tilted["tilt"] == pytest.approx(math.degrees(math.atan2(35, 50)), abs=0.5)
    cut = measured(lungs((35, 95, 15, 30), (85, 95, 15, 30)))
    assert cut["edge"] > 0.5
    exchanged = measured(lungs((85, 50, 15, 30), (35, 50, 15, 30)))
    assert exchanged["sides"] < 0
    unsure = measured(0.2 + 0.4 * lungs((35, 50, 15, 30), (85, 50, 15, 30)))
    assert unsure["blur"] > 0
    assert unsure["agreement"] < 0.9


def test_a_second_segmentation_is_compared_as_a_whole_and_by_side():
    probabilities = lungs((35, 50, 15, 30), (85, 50, 15, 30))
    without_left = probabilities.clone()
    without_left[0] += without_left[2]
    without_left[2] = 0
    found = measured(probabilities, without_left)
    assert (found["right_second"], found["left_second"]) == (1, 0)
    assert found["second"] == pytest.approx(2 / 3, abs=1e-3)


@pytest.mark.parametrize("size", [(256, 256), (256, 411), (300, 257)])
def test_a_second_segmentation_has_the_size_of_the_image(size, tmp_path):
    network = torch.nn.Conv2d(1, 3, 3, padding=1)
    torch.save(network.state_dict(), tmp_path / "second.pt")
    seen = []
    network.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape[2:]))
    found = SecondModel(network, tmp_path / "second.pt")(torch.rand(1, *size))
    assert found.shape == (3, *size)
    torch.testing.assert_close(found.sum(0), torch.ones(size))
    assert all(n % 8 == 0 for n in seen[0])
    assert min(seen[0]) == 192


def test_every_flag_has_a_rule_and_a_sentence():
    assert list(_RULES) == list(FLAGS)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in FLAGS)


def test_no_lung_has_features_too():
    nothing = torch.zeros(3, 50, 40)
    nothing[0] = 1
    assert set(measured(nothing)) == set(NAMES)
    assert not shape(nothing).any()


def test_shapes_do_not_depend_on_place_and_size():
    one = shape(lungs((35, 50, 15, 30), (85, 50, 15, 30)))
    other = shape(lungs((40, 70, 20, 40), (107, 70, 20, 40), (160, 140)))
    assert np.abs(one - other).mean() < 0.02


def test_corruption_lowers_the_quality(radiograph, segment):
    rng = np.random.default_rng(0)
    quality = [segment(radiograph).quality]
    for noise in (60, 250):
        quality.append(
            segment(np.clip(radiograph + rng.normal(0, noise, radiograph.shape), 0, 255).astype(np.uint8)).quality
        )
    assert 0 <= quality[2] < quality[1] < quality[0] <= 1
    assert quality[0] > 0.85


@pytest.mark.parametrize("name", ["noise", "blank", "page", "stripes"])
def test_wrong_pictures_are_flagged(segment, name):
    rng = np.random.default_rng(0)
    page = np.full((400, 300), 255, np.uint8)
    for row in range(30, 370, 14):
        page[row : row + 6, 25 : rng.integers(200, 275)] = rng.integers(0, 2) * 60
    pictures = {
        "noise": rng.integers(0, 255, (300, 300)).astype(np.uint8),
        "blank": np.full((300, 200), 90, np.uint8),
        "page": page,
        "stripes": np.tile((np.arange(256) // 16 % 2 * 255).astype(np.uint8), (256, 1)),
    }
    prediction = segment(pictures[name])
    assert prediction.flags
    assert all(reason for reason in prediction.flags.values())


def test_a_mirrored_chest_is_flagged(radiograph, segment):
    assert "mirrored" not in segment(radiograph).flags
    assert "mirrored" in segment(radiograph[:, ::-1]).flags


@pytest.mark.parametrize("label", [1, 2])
def test_a_largely_white_lung_is_flagged(radiograph, segment, label):
    labels = segment(radiograph).labels
    soft = ndimage.gaussian_filter((labels == label).astype(np.float32), len(labels) / 70)
    tissue = np.percentile(radiograph[labels == 0], 70)
    white = radiograph + soft * 0.8 * (tissue - radiograph)
    assert "one-lung" not in segment(radiograph).flags
    assert "one-lung" in segment(white.astype(np.uint8)).flags


def test_contrasts_are_each_lungs_own():
    probabilities = lungs((35, 50, 15, 30), (85, 50, 15, 30))
    found = contrasts(0.8 - 0.5 * probabilities[1:2] - 0.1 * probabilities[2:], probabilities)
    assert found["right_contrast"] == pytest.approx(0.5, abs=1e-5)
    assert found["left_contrast"] == pytest.approx(0.1, abs=1e-5)
    nothing = torch.zeros(3, 50, 40)
    assert contrasts(nothing[:1], nothing) == {"right_contrast": 0, "left_contrast": 0}


@pytest.mark.parametrize(
    ("attributes", "flag"),
    [({"PatientOrientation": ["R", "F"]}, "mirrored-header"), ({"ViewPosition": "RAO"}, "oblique")],
    ids=str,
)
def test_what_the_file_says_is_flagged(radiograph, tmp_path, attributes, flag):
    write_dicom(tmp_path / "a.dcm", radiograph, **attributes)
    assert flag in lungseg.load().predict(tmp_path / "a.dcm").flags


def test_half_a_chest_is_flagged(radiograph, segment):
    assert segment(radiograph[:, : radiograph.shape[1] // 2]).flags
