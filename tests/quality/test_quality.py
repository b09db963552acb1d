# SPDX-License-Identifier: Apache-2.0
"""The judgement of results: exact on drawn shapes, in order on real and on wrong pictures."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from images_support import write_dicom
from scipy import ndimage

import lungseg
from lungseg.model.paths import bundle_root
from lungseg.model.weights import load_weights
from lungseg.quality import EstimateQualityd
from lungseg.quality.features import NAMES, features, shape
from lungseg.quality.flags import _DOUBT_RULES, _NOTE_RULES, DOUBTS, NOT_FRONTAL, NOTES
from lungseg.quality.network import QualityNetwork


def lungs(right: tuple, left: tuple, size: tuple = (120, 100)) -> torch.Tensor:
    """Probabilities (2, w, h) of two sure ellipses, each (x, y, radius along x, radius along y)."""
    x, y = torch.meshgrid(*(torch.arange(n) for n in size), indexing="ij")
    inside = [((x - a) / c) ** 2 + ((y - b) / d) ** 2 <= 1 for a, b, c, d in (right, left)]
    return torch.stack(inside).float()


def measured(probabilities: torch.Tensor) -> dict[str, float]:
    return features(0.8 - 0.5 * probabilities[:2].sum(0, keepdim=True), probabilities)


def test_features_of_two_ellipses():
    found = measured(lungs((35, 50, 15, 30), (85, 50, 15, 30)))
    assert tuple(found) == NAMES
    assert found["agreement"] == found["right_agreement"] == found["left_agreement"] == found["full_agreement"] == 1
    assert found["blur"] == found["spot"] == found["confusion"] == 0
    assert found["islands"] == found["holes"] == found["edge"] == found["hidden"] == 0
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
    unsure = measured(0.1 + 0.5 * lungs((35, 50, 15, 30), (85, 50, 15, 30)))
    assert unsure["blur"] > 0
    assert unsure["spot"] > 0.6
    assert unsure["agreement"] < 0.9


def test_the_visible_lungs_are_measured():
    """The heart hides the lower half of the left lung's inner side."""
    both = lungs((35, 50, 15, 30), (85, 50, 15, 30))
    heart = torch.zeros(1, *both.shape[1:])
    heart[:, 60:85, 50:] = 1
    found, visible = measured(torch.cat([both, heart])), measured(both * (1 - heart))
    assert found["hidden"] == pytest.approx(1 / 8, abs=0.01)
    assert found["right_share"] == visible["right_share"] > 0.5
    assert found["left_roughness"] == visible["left_roughness"] > found["right_roughness"]
    np.testing.assert_array_equal(shape(torch.cat([both, heart])), shape(both * (1 - heart)))


def test_every_flag_has_a_rule_and_a_sentence():
    assert list(_NOTE_RULES) == list(NOTES)
    assert list(_DOUBT_RULES) == list(DOUBTS)
    assert not NOTES.keys() & DOUBTS.keys()
    assert DOUBTS.keys() > NOT_FRONTAL
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in (*NOTES, *DOUBTS))


def test_the_bound_is_not_above_the_estimate():
    torch.manual_seed(0)
    network = QualityNetwork().eval()
    values, outlines = torch.randn(50, len(NAMES)), torch.rand(50, 2 * 32 * 32)
    quality, lower = network(values, outlines)
    assert (lower <= quality).all()
    bounds = []
    for network.shift[()] in (-100.0, 3.0, 4.0):
        again, lower = network(values, outlines)
        torch.testing.assert_close(again, quality)
        bounds.append(lower)
    torch.testing.assert_close(bounds[0], quality)
    torch.testing.assert_close(torch.logit(bounds[2]), torch.logit(bounds[1]) - 1)


def test_no_lung_has_features_too():
    for channels in (2, 3):
        nothing = torch.zeros(channels, 50, 40)
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


def test_a_judgement_has_a_lower_bound(radiograph, segment):
    prediction = segment(radiograph)
    assert 0 < prediction.quality_lower <= prediction.quality
    assert prediction.judgement == {
        name: getattr(prediction, name) for name in ("quality", "quality_lower", "doubts", "notes")
    }


@pytest.mark.parametrize("name", ["noise", "blank", "page", "stripes"])
def test_the_results_of_wrong_pictures_are_doubted(segment, name):
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
    assert prediction.doubts
    assert all(reason for reason in prediction.doubts.values())
    assert prediction.flags == prediction.doubts | prediction.notes


def test_a_mirrored_chest_is_noted(radiograph, segment):
    assert "mirrored" not in segment(radiograph).notes
    assert "mirrored" in segment(radiograph[:, ::-1]).notes


@pytest.mark.parametrize("label", [1, 2])
def test_a_largely_white_lung_is_noted(radiograph, segment, label):
    labels = segment(radiograph).labels
    soft = ndimage.gaussian_filter((labels == label).astype(np.float32), len(labels) / 70)
    tissue = np.percentile(radiograph[labels == 0], 70)
    white = radiograph + soft * 0.8 * (tissue - radiograph)
    assert "opaque-lung" not in segment(radiograph).notes
    assert "opaque-lung" in segment(white.astype(np.uint8)).notes


def test_contrasts_are_each_lungs_own():
    probabilities = lungs((35, 50, 15, 30), (85, 50, 15, 30))
    found = features(0.8 - 0.5 * probabilities[:1] - 0.1 * probabilities[1:], probabilities)
    assert found["right_contrast"] == pytest.approx(0.5, abs=1e-5)
    assert found["left_contrast"] == pytest.approx(0.1, abs=1e-5)


@pytest.mark.parametrize(
    ("attributes", "kind", "flag"),
    [
        ({"PatientOrientation": ["R", "F"]}, "notes", "mirrored-header"),
        ({"ViewPosition": "RAO"}, "doubts", "oblique"),
        ({"ViewPosition": "LL"}, "doubts", "lateral"),
        ({"SeriesDescription": "Thorax seitlich"}, "doubts", "lateral"),
        ({"Modality": "CT"}, "doubts", "other-object"),
        ({"BodyPartExamined": "KNEE"}, "doubts", "other-object"),
    ],
    ids=str,
)
def test_the_file_states_its_view(radiograph, tmp_path, attributes, kind, flag):
    write_dicom(tmp_path / "a.dcm", radiograph, **attributes)
    assert flag in getattr(lungseg.load().predict(tmp_path / "a.dcm"), kind)


def test_half_a_chest_is_flagged(radiograph, segment):
    assert segment(radiograph[:, : radiograph.shape[1] // 2]).flags


@pytest.mark.parametrize(("weights", "suffix"), [("shipped", ""), ("open", "_open")])
def test_results_are_judged_by_what_saw_the_data_of_the_weights(weights, suffix):
    predictor = lungseg.Predictor(weights, device="cpu")
    (judge,) = [one for one in predictor.groups["probabilities"].transforms if isinstance(one, EstimateQualityd)]
    models = bundle_root() / "models"
    for network, name in ((judge.estimator.network, "quality"), (judge.estimator.recognise.network, "recognition")):
        stored = load_weights(models / f"{name}{suffix}.pt")
        assert all(torch.equal(value, stored[key]) for key, value in network.state_dict().items())
