# SPDX-License-Identifier: Apache-2.0
"""`lungseg train` by the options that people type, and networks and losses by their names."""

from __future__ import annotations

import json
import re
import sys

import pytest
from command_support import TINY

SMALL = {
    "unet": ("network_def#channels=[4,8,8]", "network_def#strides=[2,2]"),
    "attention-unet": ("network_def#channels=[4,8,8]", "network_def#strides=[2,2]"),
    "segresnet": ("network_def#init_filters=4", "network_def#blocks_down=[1,1]", "network_def#blocks_up=[1]"),
    # Not 4 channels: on processors with AVX2 alone, oneDNN 3.12 (in PyTorch 2.13) ends the process in the gradient
    # of their 1 x 1 convolution with stride 2, in the channels-last format.
    "dynunet": (
        "network_def#filters=[8,8,8]", "network_def#strides=[1,2,2]", "network_def#kernel_size=[3,3,3]",
        "network_def#upsample_kernel_size=[2,2]",
    ),
    "monai.networks.nets.BasicUNet": ("network_def#features=[4,4,8,8,8,4]",),
}  # fmt: skip
QUICK = ("num_workers=0", "progress=false")


@pytest.fixture
def started(command, dataset, tmp_path):
    """Train for an epoch: `started(*arguments)`; returns what the command left, and the run's config."""

    def call(*arguments: object, config: tuple[str, ...] = QUICK):
        output = tmp_path / "run"
        done = command("train", "--data", dataset, "-o", output, "--epochs", 1, *arguments, "--config", *config)
        assert done.status == 0, done.err
        return done, json.loads((output / "config.json").read_text("utf-8"))

    return call


def test_every_option_is_an_item_of_the_config(started):
    options = ("--batch-size", 3, "--lr", "0.01", "--image-size", 48, "--device", "cpu", "--workers", 0, "--seed", 5)
    _, config = started(*options, "--no-amp", "--loss", "dice", config=TINY[:2])
    assert config["batch_size"] == 3
    assert config["learning_rate"] == 0.01
    assert config["image_size"] == 48
    assert config["device"] == "cpu"
    assert config["num_workers"] == 0
    assert config["seed"] == 5
    assert config["amp"] is False
    assert config["loss"] == {"_target_": "lungseg.training.LungHeartLoss", "ce_weight": 0.0}


def test_a_run_with_options_is_resumed_without_trust(command, started, tmp_path):
    started("--device", "cpu", "--loss", "dice-focal", config=(*TINY, "optimizer#betas=[0.9,0.99]"))
    assert command("train", "--resume", "-o", tmp_path / "run").status == 0


@pytest.mark.parametrize(
    ("options", "item"),
    [
        (("--batch-size", 2), "batch_size=3"),
        (("--lr", "0.1"), "learning_rate=0.2"),
        (("--amp",), "amp=false"),
        (("--network", "unet"), 'network_def={"_target_":"UNet"}'),
        (("--loss", "dice"), 'loss={"_target_":"DiceLoss"}'),
    ],
)
def test_an_option_and_its_item_are_not_combined(command, dataset, tmp_path, options, item):
    done = command("train", "--data", dataset, "-o", tmp_path / "run", *options, "--config", item, "--debug")
    assert done.status == 2
    assert "item-has-option" in done.out
    assert f"use {options[0]}" in done.err


def test_an_option_counts_more_than_a_file(started, tmp_path):
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"batch_size": 2, "seed": 3, "network_def#channels": [4, 8]}))
    _, config = started("--batch-size", 5, "--network", "unet", config=(*TINY[1:3], str(file), *QUICK))
    assert (config["batch_size"], config["seed"], config["network_def"]["channels"]) == (5, 3, [4, 8])


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_network_by_name_trains_evaluates_and_predicts(command, started, dataset, tmp_path, name):
    done, config = started("--network", name, "--image-size", 64, "--batch-size", 4, config=(*SMALL[name], *QUICK))
    assert config["network_def"]["out_channels"] == 3
    assert "--trust" not in done.out
    run, picture = tmp_path / "run", dataset / "CXR_png" / "phantom_0001.png"
    assert command("evaluate", "--data", dataset, "--weights", run, "-o", tmp_path / "figures").status == 0
    assert command("predict", picture, "--weights", run, "-o", tmp_path / "out").status == 0
    assert command("train", "--resume", "-o", run).status == 0


@pytest.mark.parametrize("name", ["attention-unet", "segresnet", "dynunet"])
def test_a_network_as_it_comes_takes_a_radiograph(name):
    """It is built as the config has it; a quarter of the size is enough to see that its levels fit."""
    import torch
    from monai.bundle import ConfigParser

    from lungseg.model.networks import check_network, network_definition

    definition = network_definition(name) | {"out_channels": 4}
    check_network(definition, 256)
    network = ConfigParser({"net": definition}).get_parsed_content("net").eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 64, 64)).shape == (1, 4, 64, 64)
    assert 1e6 < sum(weights.numel() for weights in network.parameters()) < 5e6


_OWN = """
import torch

class Net(torch.nn.Module):
    def __init__(self, out_channels, width=4):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, width, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(width, out_channels, 1)
        )

    def forward(self, images):
        return self.layers(images)

class Loss(torch.nn.Module):
    def forward(self, logits, reference):
        return -(logits.log_softmax(1) * reference).mean()
"""


@pytest.fixture
def own_package(tmp_path, monkeypatch):
    """A package of the user's own in the working directory."""
    folder = tmp_path / "work" / "mypackage"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(_OWN)
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    yield folder
    sys.modules.pop("mypackage", None)


def test_a_network_and_a_loss_of_the_users_own(command, started, dataset, own_package, tmp_path):
    own = ("--network", "mypackage.Net", "--loss", "mypackage.Loss", "--image-size", 48)
    done, config = started(*own, config=("network_def#width=6", *QUICK))
    assert config["network_def"] == {"_target_": "mypackage.Net", "out_channels": 3, "width": 6}
    assert config["loss"]["loss"] == {"_target_": "mypackage.Loss"}
    assert re.search(r"predict.*--resume will need --trust", done.out)
    run, picture = tmp_path / "run", dataset / "CXR_png" / "phantom_0001.png"
    doors = {
        "evaluate": ("evaluate", "--data", dataset, "--weights", run, "-o", tmp_path / "figures"),
        "predict": ("predict", picture, "--weights", run, "-o", tmp_path / "out"),
        "resume": ("train", "--resume", "-o", run),
    }
    for door in doors.values():
        assert command(*door).status == 1
        assert command(*door, "--trust").status == 0


@pytest.mark.parametrize("name", ["DiceFocalLoss", "monai.losses.TverskyLoss", "torch.nn.CrossEntropyLoss"])
def test_a_loss_of_a_library(started, name):
    _, config = started("--loss", name, config=TINY)
    assert config["loss"]["loss"]["_target_"] == name


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--network", "unett"), "unknown-network"),
        (("--network", "mypackage.Nett"), "unknown-network"),
        (("--network", "FlexibleUNet"), "missing-argument"),
        (("--loss", "dicefocal"), "unknown-loss"),
        (("--loss", "monai.losses.DiceLos"), "unknown-loss"),
        (("--device", "mps"), "device-not-supported"),
        (("--network", "resnet50"), "config-not-buildable"),
    ],
)
def test_a_wrong_name(command, dataset, tmp_path, options, code):
    done = command("train", "--data", dataset, "-o", tmp_path / "run", *options, "--config", *TINY[2:], "--debug")
    assert done.status == 2
    assert f"error code {code}" in done.out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--lr", "0"), "'0' is not a number above 0"),
        (("--lr", "fast"), "'fast' is not a number above 0"),
        (("--batch-size", "0"), "'0' is not a whole number"),
        (("--workers", "-1"), "whole number of at least 0"),
        (("--seed", "1.5"), "'1.5' is not a whole number"),
    ],
)
def test_a_value_that_an_option_does_not_take(command, dataset, options, reason):
    done = command("train", "--data", dataset, *options)
    assert done.status == 2
    assert reason in done.err


def test_the_help_groups_the_options(command):
    shown = command("train", "--help").out
    groups = [shown.index(f"\n{title}:\n") for title in ("data", "training", "network", "run")]
    assert groups == sorted(groups)
    for option in ("--batch-size", "--lr", "--image-size", "--device", "--workers", "--seed", "--no-amp", "--network"):
        assert option in shown
