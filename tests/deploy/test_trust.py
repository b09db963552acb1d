# SPDX-License-Identifier: Apache-2.0
"""A bundle of a stranger: the application runs its code only where the user trusts it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from deploy_support import by_name, write_study_file
from foreign_code import ANYWHERE, IN_WHOLE_CONFIGS, spoil

from lungseg.model.paths import bundle_root
from lungseg.model.weights import load_weights_into

pytest.importorskip("holoscan", reason="the extra `deploy` is not installed")
pytestmark = pytest.mark.safety("foreign-config")


@pytest.fixture
def study(tmp_path) -> Path:
    """A folder with a study of one radiograph."""
    write_study_file(tmp_path / "studies" / "one.dcm", "a", ViewPosition="PA")
    return tmp_path / "studies"


@pytest.fixture
def bundle(tmp_path) -> Path:
    """A copy of the bundle."""
    return Path(shutil.copytree(bundle_root(), tmp_path / "bundle", ignore=shutil.ignore_patterns("docs")))


@pytest.fixture
def deploy(command, study, tmp_path):
    """Call `lungseg deploy run` on the study with a model."""
    return lambda model, *more: command("deploy", "run", "-i", study, "-o", tmp_path / "out", "-m", model, *more)


def refused(done, file: Path) -> None:
    assert done.status == 1
    assert done.sentence.startswith(f"lungseg: {file}: ")
    assert "--trust" in done.sentence


def torchscript(file: Path, **changes: object) -> Path:
    """Write the shipped network as `ckpt_export` does, with a config that has these changes."""
    from monai.data import save_net_with_metadata
    from monai.networks.nets import UNet

    config = json.loads((bundle_root() / "configs/inference.json").read_text("utf-8"))
    definition = {key: value for key, value in config["network_def"].items() if key != "_target_"}
    network = load_weights_into(UNet(**definition), bundle_root() / "models/model.pt").eval()
    scripted = torch.jit.trace(network, torch.zeros(1, 1, 256, 256))
    texts = {"inference.json": json.dumps(config | changes).encode()}
    save_net_with_metadata(scripted, str(file), meta_values={"version": "1.0.0"}, more_extra_files=texts)
    return file


@pytest.mark.parametrize("name", ANYWHERE | IN_WHOLE_CONFIGS)
def test_a_bundle_runs_no_code(deploy, bundle, tmp_path, name):
    spoil(bundle / "configs/inference.json", (ANYWHERE | IN_WHOLE_CONFIGS)[name], tmp_path / "made")
    refused(deploy(bundle), bundle / "configs/inference.json")
    assert not (tmp_path / "made").exists()


def test_a_program_in_the_place_of_the_network(deploy, bundle, tmp_path):
    made = tmp_path / "made"
    network = {"_target_": "subprocess.getoutput", "cmd": f"touch {made}"}
    spoil(bundle / "configs/inference.json", lambda config, _: config.update(network=network), made)
    refused(deploy(bundle), bundle / "configs/inference.json")
    assert not made.exists()
    # It runs, and then is not a network.
    assert deploy(bundle, "--trust").status == 1
    assert made.exists()


def test_code_of_a_bundle_runs_where_it_is_trusted(deploy, bundle, tmp_path):
    made = tmp_path / "made"
    network = f"$open({str(made)!r}, 'w') and @network_def.to(@device, memory_format=torch.channels_last)"
    spoil(bundle / "configs/inference.json", lambda config, _: config.update(network=network), made)
    assert deploy(bundle, "--trust").status == 0
    assert made.exists()
    assert by_name(tmp_path / "out")["one"]["status"] == "ok"


def test_a_torchscript_file_runs_no_code(deploy, tmp_path):
    made = tmp_path / "made"
    file = torchscript(tmp_path / "lungs.ts", network=f"$__import__('os').system('touch {made}')")
    refused(deploy(file), file)
    assert not made.exists()


def test_a_torchscript_file_is_a_program_even_with_our_config(deploy, tmp_path):
    """What it was compiled from runs when it is opened."""
    file = torchscript(tmp_path / "lungs.ts")
    refused(deploy(file), file)
    assert deploy(file, "--trust").status == 0
    assert by_name(tmp_path / "out")["one"]["status"] == "ok"


def test_code_in_a_torchscript_file_runs_where_it_is_trusted(deploy, tmp_path):
    made = tmp_path / "made"
    file = torchscript(tmp_path / "lungs.ts", image_size=f"$(open({str(made)!r}, 'w'), 256)[1]")
    assert deploy(file, "--trust").status == 0
    assert made.exists()
