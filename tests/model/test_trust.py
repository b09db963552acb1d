# SPDX-License-Identifier: Apache-2.0
"""A config of others may differ from this package's in values, not in code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from foreign_code import ANYWHERE, IN_WHOLE_CONFIGS, spoil

import lungseg
from lungseg.model import open_bundle
from lungseg.model.paths import bundle_root, config_file
from lungseg.model.trust import check_values_only
from lungseg.utils.errors import LungsegError

pytestmark = pytest.mark.safety("foreign-config")
CHANGES = ANYWHERE | IN_WHOLE_CONFIGS


@pytest.fixture
def bundle(tmp_path) -> Path:
    """A copy of the bundle."""
    return Path(shutil.copytree(bundle_root(), tmp_path / "bundle", ignore=shutil.ignore_patterns("docs")))


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("config", ["inference", "train"])
def test_code_is_refused(tmp_path, config, name):
    file = Path(shutil.copy(config_file(config), tmp_path))
    spoil(file, CHANGES[name], tmp_path / "made")
    own = json.loads(config_file(config).read_text("utf-8"))
    with pytest.raises(LungsegError) as refused:
        check_values_only(json.loads(file.read_text("utf-8")), own, file)
    assert refused.value.code == "config-runs-code"
    assert refused.value.where == file
    assert "--trust" in refused.value.remedy
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("threshold", 0.5),
        ("image_size", 512),
        ("quality", False),
        ("dataset_dir", "/data/me@here"),
        ("output_dir", "/data/results"),
        ("network_def", {"_target_": "monai.networks.nets.BasicUNet", "spatial_dims": 2, "act": ["elu", {"alpha": 1}]}),
        ("network_def", {"_target_": "monai.networks.nets.unet.UNet", "spatial_dims": 2}),
    ],
)
def test_values_may_differ(item, value):
    own = json.loads(config_file("inference").read_text("utf-8"))
    check_values_only(own | {item: value}, own, "inference.json")


def test_numbers_of_a_component_may_differ_and_its_names_may_not():
    own = json.loads(config_file("inference").read_text("utf-8"))
    check_values_only(own | {"inferer": own["inferer"] | {"overlap": 0.25}}, own, "inference.json")
    with pytest.raises(LungsegError, match="inferer#mode"):
        check_values_only(own | {"inferer": own["inferer"] | {"mode": "constant"}}, own, "inference.json")


@pytest.mark.parametrize("address", ["http://127.0.0.1:5000", "postgresql://127.0.0.1/runs"])
def test_a_config_that_would_send_to_a_server_is_refused(address):
    own = json.loads(config_file("train").read_text("utf-8"))
    check_values_only(own | {"mlflow": "sqlite:///runs.db"}, own, "config.json")
    with pytest.raises(LungsegError, match="mlflow"):
        check_values_only(own | {"mlflow": address}, own, "config.json")


@pytest.mark.parametrize("config", [[], 3, "$1", {}])
def test_something_else_is_refused(config):
    with pytest.raises(LungsegError) as refused:
        check_values_only(config, json.loads(config_file("inference").read_text("utf-8")), "inference.json")
    assert refused.value.code == "config-runs-code"


def test_lists_without_end_are_refused():
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(LungsegError) as refused:
        check_values_only({"exclude": deep}, {"exclude": []}, "config.json")
    assert refused.value.code == "config-runs-code"


def test_a_copy_of_the_bundle_needs_no_trust(bundle):
    spoil(bundle / "configs/inference.json", lambda config, _: config.update(threshold=0.5), bundle)
    assert open_bundle(bundle).config["threshold"] == 0.5


def test_the_bundle_of_this_package_is_trusted():
    assert open_bundle().trusted
    assert open_bundle(bundle_root()).trusted


def test_code_of_a_bundle_runs_where_it_is_trusted(bundle):
    made = bundle / "made"
    code = f"$open({str(made)!r}, 'w') and @network_def.to(@device)"
    spoil(bundle / "configs/inference.json", lambda config, _: config.update(network=code), made)
    with pytest.raises(LungsegError) as refused:
        open_bundle(bundle)
    assert refused.value.where == bundle / "configs/inference.json"
    assert not made.exists()
    lungseg.Predictor(device="cpu", bundle=open_bundle(bundle, trust=True))
    assert made.exists()


def test_a_run_beside_the_weights_of_a_bundle_is_no_way_around(bundle):
    settings = {"network_def": f"$open({str(bundle / 'made')!r}, 'w')", "image_size": 64, "clahe": False}
    (bundle / "models/config.json").write_text(json.dumps(settings | {"threshold": 0.5}))
    with pytest.raises(LungsegError) as refused:
        lungseg.Predictor(device="cpu", bundle=open_bundle(bundle))
    assert refused.value.code == "config-runs-code"
    assert not (bundle / "made").exists()
