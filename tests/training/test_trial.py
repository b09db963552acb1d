# SPDX-License-Identifier: Apache-2.0
"""The first step is tried before a training, and leaves no trace."""

from __future__ import annotations

import pytest
import torch
from command_support import TINY

from lungseg.model.config import build_workflow, parse_overrides, read_config
from lungseg.model.paths import config_file
from lungseg.training.trial import check_first_step
from lungseg.utils.errors import UsageError

ITEMS = ("network", "loss", "train#postprocessing")


@pytest.mark.parametrize("more", [(), ("network_def#out_channels=4", "network_def#dropout=0.5")])
def test_it_changes_nothing(more):
    workflow = build_workflow([config_file("train")], parse_overrides((*TINY, "device=cpu", *more)), *ITEMS)
    network = workflow.parser.get_parsed_content("network")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    generator, training = torch.get_rng_state(), network.training
    check_first_step(workflow.parser)
    assert torch.equal(torch.get_rng_state(), generator)
    assert network.training == training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weights.grad is None for weights in network.parameters())


@pytest.mark.parametrize(
    "item",
    [
        "loss#ce_weight=2",
        "loss#class_weights=[1,2,2]",
        "optimizer#betas=[0.9,0.99]",
        "network_def#dropout=0.1",
        "train#dataloader#pin_memory=true",
        "train#dataloader#prefetch_factor=4",
        "train#random_transforms#2#prob=0.9",
        "train#random_transforms#5#transforms#0#transforms#0#prob=1",
    ],
)
def test_an_argument_that_the_config_does_not_state_can_be_set(item):
    (name, value), *_ = parse_overrides([item]).items()
    config = read_config([config_file("train")], {name: value})
    for part in name.split("#"):
        config = config[int(part)] if isinstance(config, list) else config[part]
    assert config == value


@pytest.mark.parametrize(
    ("item", "near"),
    [
        ("loss#weight", "loss#ce_weight"),
        ("optimizer#beta", "optimizer#betas"),
        ("train#dataloader#pin_memory_", "train#dataloader#pin_memory"),
        ("loss#_mode_", "loss takes dice_weight, ce_weight"),
        ("loss#zzz", "loss takes dice_weight, ce_weight"),
        ("lr_schedular#T_max", "lr_scheduler#T_max"),
        ("zzz", "see the config"),
    ],
)
def test_an_argument_that_a_component_does_not_take_names_near_ones(item, near):
    with pytest.raises(UsageError, match=near) as refused:
        read_config([config_file("train")], {item: 1})
    assert refused.value.code == "unknown-config-item"
