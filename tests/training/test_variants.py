# SPDX-License-Identifier: Apache-2.0
"""Sizes, depths and class weights that people choose: each run trains, is evaluated and predicts by its folder."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.slow


def unet(levels: int) -> tuple[str, ...]:
    channels, strides = ",".join(["4"] * levels), ",".join(["2"] * (levels - 1))
    return (f"network_def#channels=[{channels}]", f"network_def#strides=[{strides}]")


@pytest.mark.parametrize(
    ("size", "config"),
    [
        (128, unet(7)),
        (320, unet(3)),
        (512, unet(5)),
        (96, (*unet(3), "loss#class_weights=[0.5,1,1]")),
        (96, (*unet(3), "loss#gamma=2", "loss#class_weights=[1,2,2]", "network_def#out_channels=4")),
        (96, ("network_def#channels=[8,16,32]", "network_def#dropout=0.1")),
    ],
)
def test_a_variant_trains_evaluates_and_predicts(command, dataset, tmp_path, size, config):
    run = tmp_path / "run"
    start = ("train", "--data", dataset, "-o", run, "--epochs", 1, "--batch-size", 4, "--image-size", size)
    done = command(*start, "--config", *config, "num_workers=0", "progress=false")
    assert done.status == 0, done.err
    done = command("evaluate", "--data", dataset, "--weights", run, "-o", tmp_path / "figures")
    assert done.status == 0, done.err
    done = command("predict", dataset / "CXR_png" / "phantom_0001.png", "--weights", run, "-o", tmp_path / "out")
    assert done.status == 0, done.err
    stored = json.loads((run / "config.json").read_text("utf-8"))
    assert stored["image_size"] == size
    assert stored["network_def"]["out_channels"] == (4 if "network_def#out_channels=4" in config else 3)
