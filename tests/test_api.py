# SPDX-License-Identifier: Apache-2.0
"""The public functions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from command_support import restored_process
from PIL import Image

import lungseg
from lungseg.utils.errors import LungsegError, UsageError


def test_importing_the_package_imports_neither_pytorch_nor_monai():
    code = "import lungseg, sys; print(sorted({'torch', 'monai', 'numpy', 'PIL'} & sys.modules.keys()), dir(lungseg))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("[] [")
    assert all(name in done.stdout for name in lungseg.__all__)


def test_every_public_name_can_be_used():
    assert all(getattr(lungseg, name) for name in lungseg.__all__)
    with pytest.raises(AttributeError, match="no attribute 'segment'"):
        _ = lungseg.segment


@pytest.mark.slow
def test_loading_prints_nothing():
    code = "import lungseg; lungseg.load(device='cpu')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_loading_again_is_cheap_until_the_file_changes(run_folder, tmp_path):
    for name in ("model.pt", "config.json"):
        (tmp_path / name).write_bytes((run_folder / name).read_bytes())
    first = lungseg.load(tmp_path, device="cpu")
    assert lungseg.load(str(tmp_path), device="cpu") is first
    assert lungseg.load(tmp_path / "model.pt", "cpu", "fp32") is first
    os.utime(tmp_path / "model.pt", ns=(1, 1))
    assert lungseg.load(tmp_path, device="cpu") is not first


def test_threads_that_load_at_the_same_time_share_the_networks(run_folder):
    loaded = []
    threads = [threading.Thread(target=lambda: loaded.append(lungseg.load(run_folder, device="cpu"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 4
    assert len(set(loaded)) == 1


@pytest.mark.parametrize(
    ("arguments", "code"), [({"device": "tpu9"}, "device-not-supported"), ({"device": "mps"}, "device-not-supported")]
)
def test_wrong_use_has_a_code(arguments, code):
    with pytest.raises(UsageError) as error:
        lungseg.load(**arguments)
    assert error.value.code == code


def test_missing_weights_are_reported(tmp_path):
    with pytest.raises(LungsegError, match="missing"):
        lungseg.load(tmp_path / "missing.pt")


def test_a_folder_is_segmented_as_the_command_does_and_nothing_is_printed(
    command, run_folder, dataset, tmp_path, capsys, monkeypatch
):
    assert command("predict", dataset / "CXR_png", "-o", tmp_path / "command", "--weights", run_folder).status == 0
    rows = lungseg.predict_folder(dataset / "CXR_png", tmp_path / "function", weights=run_folder)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert len(rows) == 12
    for file in sorted((tmp_path / "command" / "labels").iterdir()):
        assert np.array_equal(Image.open(file), Image.open(tmp_path / "function" / "labels" / file.name))
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(rows)
    assert list(table["name"]) == [row.name for row in rows]
    assert table["lungs_px"].sum() == sum(row.lungs_px for row in rows)


@pytest.mark.slow
def test_training_and_evaluation_are_those_of_the_commands(command, dataset, tmp_path, capsys):
    settings = ["--epochs", 1, "--batch-size", 4, "--lr", 0.01, "--image-size", 64, "--workers", 0, "--seed", 3]
    settings += ["--network", "segresnet", "--loss", "dice", "--no-amp", "--patients", r"phantom_(\d+)"]
    small = "network_def#init_filters=4"
    where = ("--data", dataset, "-o")
    assert command("train", *where, tmp_path / "command", *settings, "--config", small).status == 0
    figures = tmp_path / "command-figures"
    assert command("evaluate", *where, figures, "--weights", tmp_path / "command", "--split", "all").status == 0

    arguments = {"epochs": 1, "batch_size": 4, "lr": 0.01, "image_size": 64, "workers": 0, "seed": 3}
    arguments |= {"network": "segresnet", "loss": "dice", "amp": False, "patients": r"phantom_(\d+)"}
    quiet = {"network_def#init_filters": 4, "progress": False}
    with restored_process():
        run = lungseg.train(dataset, tmp_path / "function", config=quiet, **arguments)
        summary = lungseg.evaluate(dataset, tmp_path / "figures", weights=tmp_path / "function", split="all")

    configs = [json.loads((tmp_path / name / "config.json").read_text()) for name in ("command", "function")]
    for config in configs:
        for item in ("output_dir", "ckpt_dir", "progress"):
            del config[item]
    assert configs[0] == configs[1]
    assert run["best"] == json.loads((tmp_path / "command" / "run.json").read_text())["best"]
    assert summary["overall"] == json.loads((figures / "summary.json").read_text())["overall"]


def test_training_goes_on_and_refuses_what_it_does_not_know(dataset, run_folder, tmp_path):
    shutil.copytree(run_folder, tmp_path / "run")
    with restored_process():
        assert lungseg.train(output=tmp_path / "run", resume=True)["epochs"] == 2
    with pytest.raises(TypeError, match="'epoch'"):
        lungseg.train(dataset, tmp_path / "other", epoch=3)
    for function in (lungseg.train, lungseg.evaluate):
        with pytest.raises(UsageError) as error:
            function(output=tmp_path / "other")
        assert error.value.code == "data-not-named"
    with pytest.raises(UsageError) as error:
        lungseg.train(dataset, tmp_path / "other", network="u-net++")
    assert error.value.code == "unknown-network"
    assert not (tmp_path / "other").exists()
