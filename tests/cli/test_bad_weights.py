# SPDX-License-Identifier: Apache-2.0
"""Weights that cannot be used: the file is named, and nothing is written."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from lungseg.model.paths import weights_file


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (None, 2),
        (b"", 1),
        (b"PK\x03\x04 not a checkpoint", 1),
        ({"epoch": 3}, 1),
        ({"weight": torch.zeros(3)}, 1),
    ],
)
def test_weights_that_cannot_be_used(command, dataset, picture, tmp_path, content, status):
    file = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    calls = [
        ("predict", picture, "-o", tmp_path / "out"),
        ("evaluate", "--data", dataset, "--output", tmp_path / "out"),
    ]
    for call in calls:
        done = command(*call, "--weights", file)
        assert done.status == status
        assert f"{file}: " in done.sentence
        assert not list((tmp_path / "out").glob("*"))


def test_training_starts_from_no_missing_weights(begin, dataset, tmp_path):
    done = begin(dataset, "--init", tmp_path / "none.pt")
    assert done.status == 2
    assert str(tmp_path / "none.pt") in done.sentence
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_that_was_cut_off(command, run_folder, picture, tmp_path):
    whole = (run_folder / "model.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    done = command("predict", picture, "-o", tmp_path / "out", "--weights", tmp_path / "cut.pt")
    assert done.status == 1
    assert f"{tmp_path / 'cut.pt'}: " in done.sentence


def test_a_run_whose_settings_are_damaged(command, run_folder, picture, tmp_path):
    shutil.copy(run_folder / "model.pt", tmp_path)
    (tmp_path / "config.json").write_text("{")
    done = command("predict", picture, "-o", tmp_path / "out", "--weights", tmp_path)
    assert done.status == 1
    assert str(tmp_path / "config.json") in done.sentence


def test_a_config_of_another_program_beside_weights_is_ignored(command, picture, tmp_path):
    shutil.copy(weights_file(), tmp_path / "model.pt")
    for content in ("[1]", '{"model_type": "vit"}'):
        (tmp_path / "config.json").write_text(content)
        assert command("predict", picture, "-o", tmp_path / "out", "--weights", tmp_path).status == 0


@pytest.mark.parametrize(
    "network",
    [
        "$open('{}', 'w')",
        {"_target_": "builtins.open", "file": "{}", "mode": "w"},
        # What a module of networks imports, and what else MONAI has.
        {"_target_": "monai.networks.nets.unet.warnings.sys.modules.__class__"},
        {"_target_": "monai.networks.nets.unet.torch.save", "obj": 1, "f": "{}"},
        {"_target_": "create_file_basename", "postfix": "", "input_file_name": "x", "folder_path": "{}"},
    ],
)
@pytest.mark.safety("config-code")
def test_a_config_from_a_stranger_runs_no_code(command, run_folder, picture, tmp_path, network):
    shutil.copy(run_folder / "model.pt", tmp_path)
    stated = json.dumps({"network_def": network, "image_size": 64, "clahe": False, "threshold": 0.45})
    (tmp_path / "config.json").write_text(stated.replace("{}", str(tmp_path / "made")))
    done = command("predict", picture, "-o", tmp_path / "out", "--weights", tmp_path)
    assert done.status == 1
    assert str(tmp_path / "config.json") in done.sentence
    assert not (tmp_path / "made").exists()
