# SPDX-License-Identifier: Apache-2.0
"""Training on a GPU's way, tried on the CPU: batches are augmented as `train.json` means it, and runs are averaged."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from lungseg.data.phantoms import write_phantoms
from lungseg.model.paths import weights_file
from lungseg.model.weights import load_weights
from recipes.gpu_augmentation import change_looks, scale_percentiles, warp
from recipes.model import RUNS, main


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Sixty-four pictures, (64, 1, 64, 64), that are their own label maps: a wide right lung, a narrow left one."""
    torch.manual_seed(0)
    labels = torch.zeros(64, 1, 64, 64)
    labels[:, :, 14:28, 16:48], labels[:, :, 36:50, 16:36] = 1, 2
    return (labels > 0).float(), labels


def test_labels_are_warped_with_their_pictures(batch):
    pictures, labels = warp(*batch)
    assert pictures.shape == labels.shape == batch[0].shape
    assert set(labels.unique().tolist()) == {0, 1, 2}
    assert ((pictures > 0.5) == (labels > 0)).float().mean() > 0.99
    assert len({one.sum().item() for one in pictures}) > 60


def test_mirrored_lungs_keep_the_sides_of_the_picture(batch):
    _, labels = warp(*batch)
    across, larger = torch.arange(64.0).view(-1, 1), []
    for (one,) in labels:
        right, left = (one == 1).float(), (one == 2).float()
        if right.sum() > 100 and left.sum() > 100:
            assert (right * across).sum() / right.sum() < (left * across).sum() / left.sum()
            larger.append(bool(right.sum() > left.sum()))
    # Mirroring makes the left lung the larger one in half of them.
    assert 0.2 < np.mean(larger) < 0.8


def test_looks_change_for_the_share_that_was_asked_for(batch):
    pictures, labels = batch
    assert torch.equal(change_looks(pictures, labels, share=0.0), pictures)
    changed = change_looks(pictures, labels, share=0.5)
    assert changed.isfinite().all()
    touched = (changed != pictures).flatten(1).any(1).float().mean()
    assert 0.2 < touched < 0.6


def test_percentiles_become_zero_and_one():
    picture = 3 + 10 * torch.rand(2, 1, 128, 128, generator=torch.manual_seed(0))
    scaled = scale_percentiles(picture)
    assert scaled.min() == 0
    assert scaled.max() == 1
    assert scaled.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.slow
def test_runs_go_on_from_weights_and_are_averaged_with_them(tmp_path):
    write_phantoms(tmp_path / "data", count=12, seed=0)
    output, shipped = tmp_path / "further", str(weights_file())
    common = ["--trial", "--output", str(output), "--init", shipped, "--data", str(tmp_path / "data")]
    for what in ("pack", *RUNS, "mean"):
        main([what, *common])
    packed = np.load(output / "pictures.npz")
    assert packed["image"].dtype == np.uint8
    assert packed["image"].shape == packed["label"].shape
    assert packed["image"].shape[1:] == (256, 256)
    assert 0 < packed["validates"].sum() < len(packed["image"])
    record = json.loads((output / "d.json").read_text("utf-8"))
    assert record["steps"] == 2
    assert record["changed"] == RUNS["d"].changed
    assert record["history"][-1]["step"] == 2
    start = load_weights(shipped)
    runs = [load_weights(output / f"{name}.pt") for name in RUNS]
    name = next(key for key, value in start.items() if value.is_floating_point())
    assert not torch.equal(runs[0][name], start[name])
    assert not torch.equal(runs[0][name], runs[1][name])
    expected = torch.stack([start[name], *(one[name] for one in runs)]).double().mean(0)
    assert torch.allclose(load_weights(output / "mean.pt")[name].double(), expected, atol=1e-6)
