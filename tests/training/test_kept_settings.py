# SPDX-License-Identifier: Apache-2.0
"""A run that `monai.bundle run` resumes goes on with its own settings, or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_support import restored_process

from lungseg.model.paths import bundle_root, config_file
from lungseg.training.kept_settings import check_same_settings
from lungseg.utils.errors import UsageError, find_lungseg_error

OVERRIDES = {
    "network_def#channels": [4, 8],
    "network_def#strides": [2],
    "image_size": 48,
    "batch_size": 4,
    "num_workers": 0,
    "progress": False,
    "epochs": 1,
    "train#random_transforms#2#prob": 0.5,
}


@pytest.fixture(scope="module")
def bundle_run(dataset, tmp_path_factory):
    """Run `train.json` as `monai.bundle run` does, in this process: `bundle_run(output, **overrides)`."""
    from monai.bundle import run

    def call(output: Path, **overrides) -> None:
        folders = {"bundle_root": str(bundle_root()), "output_dir": str(output), "ckpt_dir": str(output)}
        output.mkdir(exist_ok=True)
        settings = {"dataset_dir": str(dataset), **folders, **overrides}
        with restored_process():
            run(config_file=str(config_file("train")), meta_file=str(config_file("metadata")), **settings)

    return call


@pytest.fixture(scope="module")
def run_of_bundle(bundle_run, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("bundle") / "run"
    bundle_run(output, **OVERRIDES)
    return output


def test_a_run_goes_on_with_its_settings(bundle_run, run_of_bundle):
    before = (run_of_bundle / "model.pt").read_bytes()
    bundle_run(run_of_bundle, **OVERRIDES | {"num_workers": 1, "device": "cpu"}, resume=True)
    assert (run_of_bundle / "model.pt").read_bytes() == before


@pytest.mark.parametrize("forgotten", ["image_size", "batch_size", "epochs", "train#random_transforms#2#prob"])
def test_a_forgotten_override_is_named(bundle_run, run_of_bundle, forgotten):
    before = (run_of_bundle / "last.pt").read_bytes()
    overrides = {key: value for key, value in OVERRIDES.items() if key != forgotten}
    with pytest.raises(Exception) as refused:  # noqa: PT011  MONAI wraps it
        bundle_run(run_of_bundle, **overrides, resume=True)
    error = find_lungseg_error(refused.value)
    assert error.code == "resume-with-other-settings"
    assert f"{forgotten} ({OVERRIDES[forgotten]}, now " in str(error)
    assert (run_of_bundle / "last.pt").read_bytes() == before


@pytest.mark.slow
def test_the_command_of_monai_says_so(dataset, run_of_bundle):
    folders = ("--output_dir", run_of_bundle, "--ckpt_dir", run_of_bundle, "--dataset_dir", dataset)
    start = (sys.executable, "-m", "monai.bundle", "run", "--config_file", "configs/train.json")
    done = subprocess.run(
        [*map(str, (*start, *folders)), "--resume", "True"], cwd=bundle_root(), capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "the run was started with other settings: " in done.stderr
    assert "epochs (1, now 60)" in done.stderr


def test_without_settings_nothing_is_compared():
    assert check_same_settings({"epochs": 1}, None, "run") == {}
    assert check_same_settings(None, {"epochs": 1}, "run") == {}


def test_what_one_of_the_two_does_not_state_is_not_compared():
    for kept, running in (({}, {"epochs": 1}), ({"epochs": 1}, {})):
        assert check_same_settings(kept, running, "run", may_change=("epochs",)) == {}


@pytest.mark.parametrize(
    ("changed", "schedule", "named"),
    [
        ({"epochs": 2}, {"T_max": 2}, None),
        ({"epochs": 2}, {"_target_": "StepLR"}, "lr_scheduler"),
        ({"patience": 2}, {"T_max": 2}, "lr_scheduler#T_max"),
    ],
)
def test_only_the_number_of_epochs_changes_the_schedule(changed, schedule, named):
    kept = {"epochs": 1, "patience": 1, "lr_scheduler": {"_target_": "CosineAnnealingLR", "T_max": 1}}
    running = kept | changed | {"lr_scheduler": kept["lr_scheduler"] | schedule}
    may_change = ("epochs", "patience")
    if named is None:
        assert list(check_same_settings(kept, running, "run", may_change)) == list(changed)
        return
    with pytest.raises(UsageError, match=named):
        check_same_settings(kept, running, "run", may_change)


def test_many_differences_are_counted():
    with pytest.raises(UsageError, match=r"a \(1, now 2\), b#c \(1, now null\), d#0#e \(1, now 2\) and 1 more"):
        check_same_settings(
            {"a": 1, "b": {"c": 1}, "d": [{"e": 1}], "f": [1]},
            {"a": 2, "b": {"c": None}, "d": [{"e": 2}], "f": [1, 2]},
            "run",
        )
