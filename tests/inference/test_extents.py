# SPDX-License-Identifier: Apache-2.0
"""Both extents and the heart, from the network's output to files; weights that do not know the heart."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_support import TINY
from errors_support import fails
from PIL import Image

import lungseg
from lungseg.inference.predictor import Predictor
from lungseg.model.config import parse_overrides

LOGIT = 9.0


def weights_with(channels: int, folder: Path) -> Path:
    """Write a tiny network with random weights and its config, as a run has them."""
    from monai.networks.nets import UNet

    torch.manual_seed(0)
    network = {"spatial_dims": 2, "in_channels": 1, "channels": [4, 8], "strides": [2], "num_res_units": 0}
    folder.mkdir()
    torch.save(UNet(**network, out_channels=channels).state_dict(), folder / "model.pt")
    config = {
        # The weights decide on the number of channels.
        "network_def": {"_target_": "UNet", **network, "out_channels": 7 - channels},
        "image_size": parse_overrides(TINY)["image_size"],
        "clahe": False,
        "threshold": 0.45,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def knows_heart(tmp_path_factory) -> Path:
    return weights_with(4, tmp_path_factory.mktemp("weights") / "heart")


@pytest.fixture(scope="module")
def knows_lungs(tmp_path_factory) -> Path:
    return weights_with(3, tmp_path_factory.mktemp("weights") / "lungs")


def drawn(model: Predictor, channels: int = 4) -> lungseg.Prediction:
    """A result whose lungs are two rectangles, with a heart over a part of the left one."""
    rng = np.random.default_rng(0)
    prepared = model.prepare(rng.integers(0, 255, (96, 96)).astype(np.float32))
    logits = torch.full((channels, *prepared.image.shape[1:]), -LOGIT)
    logits[0] = 0
    # (x, y); the right lung is on the left of the picture.
    logits[1, 6:20, 8:40] = LOGIT
    logits[2, 26:42, 8:40] = LOGIT
    logits[3:, 18:34, 24:38] = LOGIT
    return model.finish(prepared, logits)


def test_a_result_holds_both_extents_and_the_heart(knows_heart):
    found = drawn(Predictor(knows_heart, device="cpu"))
    visible, full = found.label_map("visible"), found.label_map("full")
    assert np.array_equal(found.labels, visible)
    hidden = (full > 0) & (visible == 0)
    assert hidden.any()
    assert not (hidden & ~found.heart).any()
    assert np.array_equal(visible[visible > 0], full[visible > 0])
    assert np.array_equal(found.mask > 0, visible > 0)
    assert np.array_equal(found.label_map("full", heart=True) == 3, found.heart & (full == 0))
    assert found.probabilities.shape == (3, 96, 96)
    assert (
        found.measurements["full_lungs_px"] == (full > 0).sum() > found.measurements["lungs_px"] == (visible > 0).sum()
    )
    assert found.measurements["heart_px"] == found.heart.sum()


def test_labels_and_mask_have_the_extent_that_was_asked_for(knows_heart):
    model = lungseg.load(knows_heart, device="cpu", extent="full", heart=True)
    found = drawn(model)
    assert np.array_equal(found.labels, found.label_map("full", heart=True))
    assert np.array_equal(found.mask > 0, found.label_map("full") > 0)
    # The columns mean one thing, whatever was asked for.
    assert found.measurements["lungs_px"] == (found.label_map("visible") > 0).sum()


def test_extents_do_not_share_results(knows_heart):
    models = [
        Predictor(knows_heart, device="cpu", **options)
        for options in ({}, {"extent": "full"}, {"heart": True}, {"ctr": "always"})
    ]
    identities = {json.dumps(model.identity(), sort_keys=True) for model in models}
    assert len(identities) == len(models)


def test_the_ratio_is_that_of_the_picture_unless_it_is_not_wanted(knows_heart):
    found = drawn(Predictor(knows_heart, device="cpu", ctr="always")).cardiothoracic_ratio
    # The heart is 16 of 48 pixels wide, the chest 36.
    assert found.value == pytest.approx(16 / 36, abs=0.03)
    assert found.low <= found.value <= found.high
    assert drawn(Predictor(knows_heart, device="cpu", ctr="never")).cardiothoracic_ratio is None


def test_weights_without_the_heart_have_one_extent(knows_lungs):
    found = drawn(Predictor(knows_lungs, device="cpu"), channels=3)
    assert found.heart is None
    assert found.cardiothoracic_ratio is None
    assert found.probabilities.shape == (2, 96, 96)
    assert found.measurements["lungs_px"] == (found.labels > 0).sum() > 0
    assert found.measurements["full_lungs_px"] is found.measurements["heart_px"] is None
    with fails("weights-without-heart"):
        found.label_map("full")
    with fails("weights-without-heart"):
        found.label_map(heart=True)


@pytest.mark.parametrize("options", [{"extent": "full"}, {"heart": True}])
def test_the_heart_is_not_asked_of_weights_that_do_not_know_it(knows_lungs, options):
    with fails("weights-without-heart"):
        Predictor(knows_lungs, device="cpu", **options)


@pytest.mark.parametrize("options", [{"extent": "whole"}, {"ctr": "sometimes"}])
def test_an_unknown_choice_is_refused(knows_heart, options):
    with fails("unknown-choice"):
        Predictor(knows_heart, device="cpu", **options)


@pytest.mark.parametrize("asked", [["--extent", "full"], ["--with-heart"], ["--save", "heart"]])
def test_the_command_refuses_before_the_work(command, knows_lungs, dataset, tmp_path, asked):
    done = command("predict", dataset, "-o", tmp_path / "out", "--weights", knows_lungs, *asked)
    assert done.status == 2
    assert "do not know the heart" in done.sentence
    assert not (tmp_path / "out").exists()


def test_files_of_the_heart_and_columns(command, knows_heart, dataset, tmp_path):
    picture = dataset / "CXR_png" / "phantom_0001.png"
    asked = ("--extent", "full", "--with-heart", "--save", "heart", "--ctr", "always")
    done = command("predict", picture, "-o", tmp_path, "--weights", knows_heart, *asked)
    assert done.status == 0, done.err
    found = Predictor(knows_heart, device="cpu", extent="full", heart=True).predict(picture)
    with Image.open(tmp_path / "heart" / picture.name) as image:
        assert np.array_equal(np.asarray(image), np.where(found.heart, 255, 0))
    with Image.open(tmp_path / "labels" / picture.name) as image:
        assert np.array_equal(np.asarray(image), found.labels)
    with (tmp_path / "report.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert int(row["heart_px"]) == found.heart.sum()
    assert int(row["full_lungs_px"]) == (found.label_map("full") > 0).sum()
