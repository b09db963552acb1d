# SPDX-License-Identifier: Apache-2.0
"""The bundle through MONAI's own doors: `python -m monai.bundle …` and `torchrun`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from PIL import Image

import lungseg
from benchmarks.orthanc_node import free_port
from lungseg.data import write_phantoms
from lungseg.model.pack import pack
from lungseg.model.paths import bundle_root, config_file

SMALL = {
    "network_def#channels": "[4,8]",
    "network_def#strides": "[2]",
    "image_size": "32",
    "batch_size": "4",
    "num_workers": "0",
    "epochs": "1",
    "progress": "False",
}


def run(*arguments: str | Path, cwd: str | Path = ".", module: str = "monai.bundle") -> str:
    """Run `python -m module arguments` and return what it printed; fail with that if it failed."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def flags(settings: dict) -> list[str]:
    return [text for key, value in settings.items() for text in (f"--{key}", str(value))]


def config(name: str) -> str:
    return str(config_file(name))


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("data") / "with space", 24, seed=3, size=(96, 128))


@pytest.fixture(scope="module")
def trained(phantoms, tmp_path_factory) -> Path:
    """A run of `train.json` with overrides on the command line."""
    output = tmp_path_factory.mktemp("run")
    run(
        "run",
        *flags({"config_file": config("train"), "meta_file": config("metadata"), "bundle_root": bundle_root()}),
        *flags({"dataset_dir": phantoms, "output_dir": output, **SMALL}),
        "--mlflow",
        "",
    )
    return output


def test_train_writes_checkpoints_and_history(trained):
    assert {"model.pt", "last.pt", "history.json", "tensorboard"} <= {path.name for path in trained.iterdir()}
    (entry,) = json.loads((trained / "history.json").read_text())
    assert {"epoch", "loss", "val_mean_iou", "val_mean_dice", "val_union_iou"} <= set(entry)
    weights = torch.load(trained / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in weights.values())


def test_train_then_evaluate(trained, phantoms, tmp_path):
    settings = {key: value for key, value in SMALL.items() if key != "epochs"}
    run(
        "run",
        *flags({"config_file": f"['{config('train')}','{config('evaluate')}']", "meta_file": config("metadata")}),
        *flags({"bundle_root": bundle_root(), "dataset_dir": phantoms, "output_dir": tmp_path, **settings}),
        *flags({"weights": trained / "model.pt", "split": "validation"}),
    )
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert 0 <= summary["overall"]["metrics"]["iou"]["mean"] <= 1
    assert (tmp_path / "cases.csv").is_file()
    assert (tmp_path / "index.html").is_file()


def test_inference_equals_the_python_api_and_the_command_line(phantoms, tmp_path):
    run(
        "run",
        *flags({"config_file": config("inference"), "meta_file": config("metadata"), "bundle_root": bundle_root()}),
        *flags(
            {"dataset_dir": phantoms / "CXR_png", "output_dir": tmp_path / "bundle", "pattern": "phantom_000[12].png"}
        ),
    )
    names = ["phantom_0001.png", "phantom_0002.png"]
    images = [phantoms / "CXR_png" / name for name in names]
    run("predict", *images, "-o", tmp_path / "cli", module="lungseg")
    predictor = lungseg.load()
    for name, image in zip(names, images, strict=True):
        prediction = predictor.predict(image)
        assert prediction.labels.shape == np.asarray(Image.open(image)).shape
        for folder, expected in (("labels", prediction.labels), ("masks", prediction.mask)):
            for door in ("bundle", "cli"):
                np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / door / folder / name)), expected)


def test_inference_on_a_folder_without_pictures_says_so(tmp_path):
    settings = {"config_file": config("inference"), "meta_file": config("metadata"), "bundle_root": bundle_root()}
    settings |= {"dataset_dir": tmp_path, "output_dir": tmp_path / "out"}
    with pytest.raises(AssertionError, match=r"no file here matches \*\.png.*name the folder"):
        run("run", *flags(settings))


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["train"], "train"),
        (["train", "evaluate"], "train"),
        (["inference"], "inference"),
        (["train", "multi_gpu_train"], "train"),
        (["train", "evaluate", "multi_gpu_evaluate"], "train"),
    ],
)
def test_check_properties_is_empty(names, kind, phantoms, tmp_path, monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    dataset = phantoms / "CXR_png" if kind == "inference" else phantoms
    settings = {"bundle_root": str(bundle_root()), "dataset_dir": str(dataset), "output_dir": str(tmp_path)}
    if kind == "train":
        settings["progress"] = False
    workflow = ConfigWorkflow(
        config_file=[config(name) for name in names],
        meta_file=config("metadata"),
        logging_file=False,
        workflow_type=kind,
        **settings,
    )
    workflow.initialize()
    try:
        assert workflow.check_properties() == []
    finally:
        workflow.finalize()


# Data sets are upright, and need neither a judgement nor files.
INFERENCE_ALONE = (
    "lungseg.transforms.orientation.CorrectOrientationd",
    "lungseg.quality.transform.EstimateQualityd",
    "SaveImaged",
)


def test_training_and_inference_share_their_deterministic_transforms():
    train = json.loads(config_file("train").read_text())
    inference = json.loads(config_file("inference").read_text())
    both = train["train"]["deterministic_transforms"], train["validate"]["preprocessing"]["transforms"]
    for transforms in both:
        assert [t for t in map(of_image, transforms) if t] == [
            of_image(t) for t in inference["preprocessing"]["transforms"] if t["_target_"] not in INFERENCE_ALONE
        ]
    finish = [t for t in inference["postprocessing"]["transforms"] if t["_target_"] not in INFERENCE_ALONE]
    assert [t | {"transform": ""} for t in train["validate"]["postprocessing"]["transforms"]] == [
        t | {"transform": ""} for t in finish
    ]
    for same in ("network_def", "network", "image_size", "clahe", "threshold"):
        expected = {**train[same], "path": "@weights"} if same == "network" else train[same]
        assert inference[same] == expected
    assert train["validate"]["inferer"] == inference["inferer"]


def of_image(transform: dict) -> dict | None:
    """What a transform of train.json does to the image, None if it does nothing to its values."""
    keys = [transform["keys"]] if isinstance(transform["keys"], str) else transform["keys"]
    if "image" not in keys or transform["_target_"] == "EnsureTyped":
        return None
    return transform | {"keys": "image"}


def test_a_2_to_1_radiograph_takes_more_than_one_window(tmp_path):
    predictor = lungseg.load()
    passes: list[tuple] = []
    predictor.network.register_forward_hook(lambda module, inputs, output: passes.append(tuple(inputs[0].shape)))
    rng = np.random.default_rng(0)
    counts = {}
    for name, shape in {"square": (300, 300), "wide": (300, 600), "tall": (600, 300)}.items():
        Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8)).save(tmp_path / f"{name}.png")
        passes.clear()
        assert predictor.predict(tmp_path / f"{name}.png").labels.shape == shape
        assert {window[2:] for window in passes} == {(256, 256)}
        counts[name] = sum(window[0] for window in passes)
    assert counts["square"] == 1
    assert counts["wide"] == counts["tall"] == 2


def test_verify_metadata(tmp_path):
    schema = Path(__file__).parents[1] / "support" / "meta_schema.json"
    out = run("verify_metadata", *flags({"meta_file": config("metadata"), "filepath": schema}))
    assert "verified with no error" in out
    broken = json.loads(config_file("metadata").read_text())
    broken["network_data_format"]["outputs"]["pred"]["type"] = "picture"
    (tmp_path / "metadata.json").write_text(json.dumps(broken))
    with pytest.raises(AssertionError, match="picture"):
        run("verify_metadata", *flags({"meta_file": tmp_path / "metadata.json", "filepath": schema}))


def test_metadata_names_every_package_that_the_bundle_needs():
    setup = ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg", encoding="utf-8")
    needed = re.findall(r"^[\w-]+", setup["options"]["install_requires"], re.MULTILINE)
    metadata = json.loads(config_file("metadata").read_text())
    assert {*metadata["required_packages_version"], "monai", "torch", "numpy"} == set(needed)


def test_metadata_speaks_of_this_package():
    metadata = json.loads(config_file("metadata").read_text())
    assert metadata["version"] == lungseg.__version__
    assert metadata["version"] in metadata["changelog"]
    assert list(metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values()) == [
        "background",
        "right_lung",
        "left_lung",
    ]


@pytest.mark.parametrize("name", ["train", "inference"])
def test_verify_net_in_out(name):
    settings = {"net_id": "network_def", "config_file": config(name), "meta_file": config("metadata")}
    assert "verified with no error" in run("verify_net_in_out", *flags(settings))


def test_export_to_torchscript_and_onnx_keeps_the_answer(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    settings = {
        "ckpt_file": bundle_root() / "models/model.pt",
        "config_file": config("inference"),
        "meta_file": config("metadata"),
    }
    run("ckpt_export", "network_def", *flags({"filepath": tmp_path / "model.ts", **settings}))
    run("onnx_export", "network_def", *flags({"filepath": tmp_path / "model.onnx", **settings}))
    image = torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = lungseg.load(device="cpu").network(image)
        scripted = torch.jit.load(tmp_path / "model.ts")(image)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (onnx,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    torch.testing.assert_close(scripted, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(torch.from_numpy(onnx), expected, rtol=1e-3, atol=1e-3)


def test_the_packed_bundle_works_by_itself(phantoms, tmp_path):
    with zipfile.ZipFile(pack(tmp_path / "bundle.zip")) as archive:
        archive.extractall(tmp_path)
    root = tmp_path / "lung_cxr_segmentation"
    where = subprocess.run(
        [sys.executable, "-c", "import lungseg; print(lungseg.__file__)"], cwd=root, capture_output=True, text=True
    )
    assert Path(where.stdout.strip()).parent == root / "lungseg"
    common = {"meta_file": "configs/metadata.json", "logging_file": "configs/logging.conf"}
    run(
        "run",
        *flags({"config_file": "configs/inference.json", **common}),
        *flags({"dataset_dir": phantoms / "CXR_png", "output_dir": tmp_path / "out", "pattern": "phantom_0001.png"}),
        cwd=root,
    )
    expected = lungseg.load().predict(phantoms / "CXR_png/phantom_0001.png").labels
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out/labels/phantom_0001.png")), expected)
    run(
        "run",
        *flags({"config_file": "['configs/train.json','configs/evaluate.json']", **common}),
        *flags({"dataset_dir": phantoms, "output_dir": tmp_path / "evaluation", "progress": "False"}),
        cwd=root,
    )
    assert (tmp_path / "evaluation/summary.json").is_file()


def test_two_processes_train_and_evaluate(phantoms, tmp_path):
    settings = {"meta_file": config("metadata"), "bundle_root": bundle_root(), "dataset_dir": phantoms, **SMALL}
    torchrun = ["--nproc_per_node=2", "--master_addr=127.0.0.1", f"--master_port={free_port()}"]
    torchrun += ["-m", "monai.bundle", "run"]
    files = f"['{config('train')}','{config('multi_gpu_train')}']"
    # More than each process has, and fewer than both have.
    few = {"output_dir": tmp_path, **settings, "batch_size": "12"}
    run(*torchrun, *flags({"config_file": files, **few}), module="torch.distributed.run")
    weights = torch.load(tmp_path / "model.pt", weights_only=True)
    assert not any(name.startswith("module.") for name in weights)
    del settings["epochs"]
    files = f"['{config('train')}','{config('evaluate')}','{config('multi_gpu_evaluate')}']"
    run(
        *torchrun,
        *flags({"config_file": files, "output_dir": tmp_path / "evaluation", "split": "all", **settings}),
        *flags({"weights": tmp_path / "model.pt"}),
        module="torch.distributed.run",
    )
    rows = (tmp_path / "evaluation/cases.csv").read_text().splitlines()
    assert len(rows) == 1 + 24
