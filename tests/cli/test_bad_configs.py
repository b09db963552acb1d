# SPDX-License-Identifier: Apache-2.0
"""A config that cannot be built or trained is refused in words, with the item's name, before the first epoch."""

from __future__ import annotations

import sys

import pytest
from command_support import TINY


@pytest.fixture
def refused(begin, dataset, tmp_path):
    """Begin a training that is refused: `refused(code, *overrides)` returns the sentence."""

    def call(code: str, *overrides: str, options: tuple[str, ...] = ()) -> str:
        done = begin(dataset, "--debug", *options, config=overrides)
        assert done.status == 2, done.err
        assert f"error code {code}\n" in done.out
        assert not (tmp_path / "run" / "last.pt").exists()
        return done.err

    return call


@pytest.mark.parametrize(
    ("override", "code", "said"),
    [
        ("loss#_target_=DiceLos", "unknown-component", "loss: there is no component 'DiceLos'; did you mean DiceLoss"),
        ("loss#_target_=DiceLoss", "loss-without-reference", "use --loss DiceLoss"),
        ("loss#_target_=torch.nn.CrossEntropyLoss", "loss-without-reference", "--loss torch.nn.CrossEntropyLoss"),
        ("loss#class_weights=[1,2]", "bad-class-weights", "class_weights=[1, 2]"),
        ("loss#ce_wieght=2", "unknown-config-item", "did you mean loss#ce_weight"),
        ("optimizer#_target_=torch.optim.Adamm", "unknown-component", "did you mean torch.optim.Adam"),
        ("optimizer#_target_=torch.optim.LBFGS", "unknown-argument", "optimizer: torch.optim.LBFGS does not take"),
        ("optimizer#betas=[2,3]", "config-not-buildable", "optimizer: "),
        ("network_def#chanels=[4,8]", "unknown-config-item", "did you mean network_def#channels"),
        (
            "network_def#_target_=AttentionUnet",
            "unknown-argument",
            "network_def: AttentionUnet does not",
        ),
        ("network_def#norm=BATCHH", "config-not-buildable", "network_def: "),
        ("network_def#in_channels=3", "network-does-not-fit", "network_def: "),
        (
            "network_def#out_channels=2",
            "bad-network-output",
            "the network gives a tensor of (N, 2, 48, 48)",
        ),
        ("network_def#channels=[4,8,16]", "bad-network-levels", "network_def#strides=[2,2]"),
        ("image_size=49", "bad-image-size", "the nearest: 48 and 50"),
        ("image_size=2", "network-too-deep", "at least 4"),
        ("train#dataloader#pin_memry=true", "unknown-config-item", "did you mean train#dataloader#pin_memory"),
        ("train#random_transforms#99#prob=1", "unknown-config-item", "train#random_transforms#99#prob"),
        ("train#postprocessing#transforms#1#threshold=high", "postprocessing-does-not-fit", "TypeError"),
        ("lr_scheduler#_target_=torch.optim.lr_scheduler.StepLR", "unknown-argument", "lr_scheduler: "),
    ],
)
def test_an_item(refused, override, code, said):
    assert said in refused(code, override)


@pytest.mark.parametrize(("levels", "size", "code"), [(7, 64, "network-too-deep"), (7, 200, "bad-image-size")])
def test_a_network_too_deep_for_the_size(refused, levels, size, code):
    channels, strides = ",".join(["4"] * levels), ",".join(["2"] * (levels - 1))
    refused(code, f"network_def#channels=[{channels}]", f"network_def#strides=[{strides}]", f"image_size={size}")


def test_a_missing_package_is_named(refused, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    said = refused("package-missing", "mlflow=sqlite:///runs.db")
    assert "train#handlers#" in said
    assert "pip install 'lungseg[mlflow]'" in said


_OWN = """
import torch

CALLS = []

class Net(torch.nn.Module):
    def __init__(self, out_channels, fail_at, reason):
        super().__init__()
        self.layer = torch.nn.Conv2d(1, out_channels, 1)
        self.fail_at, self.reason = fail_at, reason

    def forward(self, images):
        CALLS.append(1)
        if len(CALLS) >= self.fail_at:
            raise RuntimeError(self.reason)
        return self.layer(images)

class Broken(torch.nn.Module):
    def forward(self, logits, reference):
        return logits.nothing

class Wide(torch.nn.Module):
    def forward(self, logits, reference):
        return logits.mean((1, 2, 3))
"""
_FULL = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "failing_parts.py").write_text(_OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("failing_parts", None)


@pytest.mark.parametrize(
    ("fail_at", "reason", "code"),
    [
        (1, "no such layer", "network-does-not-fit"),
        (1, _FULL, "memory-full"),
        (2, "no such layer", "config-not-trainable"),
        (2, _FULL, "memory-full"),
        (3, "CUDA out of memory. Tried to allocate 2 GiB", "memory-full"),
    ],
)
def test_a_network_that_fails(command, dataset, own_module, tmp_path, fail_at, reason, code):
    # The first two of TINY are for a UNet.
    settings = (f"network_def#fail_at={fail_at}", f"network_def#reason={reason}", *TINY[2:])
    start = ("train", "--data", dataset, "-o", tmp_path / "run", "--epochs", 1, "--network", "failing_parts.Net")
    done = command(*start, "--debug", "--config", *settings)
    assert done.status == 2, done.err
    assert f"error code {code}\n" in done.out
    assert ("--batch-size" if code == "memory-full" else reason) in done.err


@pytest.mark.parametrize(("name", "code"), [("Broken", "loss-does-not-fit"), ("Wide", "loss-does-not-fit")])
def test_a_loss_that_fails(refused, own_module, name, code):
    assert "loss: the loss cannot be computed" in refused(code, options=("--loss", f"failing_parts.{name}"))
