# SPDX-License-Identifier: Apache-2.0
"""The bundle through MONAI's own doors: `python -m monai.bundle …` and `torchrun`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from PIL import Image

import lungseg
from lungseg.data import write_phantoms
from lungseg.inference.predictor import Predictor
from lungseg.model.bundle import open_bundle
from lungseg.model.pack import pack
from lungseg.model.paths import bundle_root, config_file
from lungseg.model.weights import weights_hash
from lungseg.utils.errors import LungsegError

SMALL = {
    "network_def#channels": "[4,8]",
    "network_def#strides": "[2]",
    "image_size": "32",
    "batch_size": "4",
    "num_workers": "0",
    "epochs": "1",
    "progress": "False",
}


def run(*arguments: str | Path, cwd: str | Path = ".", module: str = "monai.bundle", status: int = 0) -> str:
    """Run `python -m module arguments` and return what it printed; fail with that if it ends with another status."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == status, done.stdout + done.stderr
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
        *flags({"dataset_dir": phantoms, "ckpt_dir": output, "output_dir": output, **SMALL}),
        "--mlflow",
        "",
    )
    return output


@pytest.mark.slow
def test_train_writes_checkpoints_and_history(trained):
    assert {"model.pt", "last.pt", "history.json", "tensorboard"} <= {path.name for path in trained.iterdir()}
    initial, entry = json.loads((trained / "history.json").read_text())
    measured = {"epoch", "val_loss", "val_mean_iou", "val_mean_dice", "val_union_iou"}
    assert (set(initial), initial["epoch"]) == (measured, 0)
    assert set(entry) == measured | {"loss", "learning_rate"}
    assert "epoch 1/1" in (trained / "train.log").read_text()
    weights = torch.load(trained / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in weights.values())


@pytest.mark.slow
def test_evaluate_measures_the_weights_that_train_wrote(phantoms, tmp_path):
    """As in the model zoo: both read and write `ckpt_dir`, so no other argument is needed."""
    root = shutil.copytree(bundle_root(), tmp_path / "bundle")
    shipped = weights_hash(root / "models/model.pt")
    common = {"meta_file": root / "configs/metadata.json", "bundle_root": root, "dataset_dir": phantoms, **SMALL}
    train = str(root / "configs/train.json")
    out = run("run", *flags({"config_file": train, **common}))
    trained = weights_hash(root / "models/model.pt")
    assert trained != shipped
    assert re.search(rf"trained weights: {re.escape(str(root))}/models/model.pt, epoch 1, SHA-256 {trained}", out)
    assert "model_before_training.pt" in out
    assert weights_hash(root / "models/model_before_training.pt") == shipped

    files = f"['{train}','{root / 'configs/evaluate.json'}']"
    out = run("run", *flags({"config_file": files, **common, "split": "validation", "output_dir": tmp_path / "out"}))
    assert f"SHA-256 {trained}" in out
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert 0 <= summary["overall"]["metrics"]["iou"]["mean"] <= 1
    assert trained in json.dumps(summary)
    for name in ("cases.csv", "index.html"):
        assert (tmp_path / "out" / name).is_file()


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [(2,), (1, 2, 3)])
def test_inference_goes_on_after_an_unreadable_file(damaged, phantoms, tmp_path):
    names = [f"phantom_000{number}.png" for number in (1, 2, 3)]
    bad = [names[number - 1] for number in damaged]
    (tmp_path / "in").mkdir()
    for name in names:
        content = (phantoms / "CXR_png" / name).read_bytes()
        (tmp_path / "in" / name).write_bytes(content[: len(content) // 2] if name in bad else content)
    settings = {"config_file": config("inference"), "meta_file": config("metadata"), "bundle_root": bundle_root()}
    settings |= {"dataset_dir": tmp_path / "in", "output_dir": tmp_path / "out"}
    out = run("run", *flags(settings), status=1)
    assert "Traceback" not in out
    assert f"{len(bad)} of 3 files could not be read" in out
    for name in names:
        assert (f"failed: {tmp_path / 'in' / name}: the picture is damaged" in out) == (name in bad)
        for folder in ("labels", "masks"):
            assert (tmp_path / "out" / folder / name).is_file() == (name not in bad)


@pytest.mark.slow
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
    # A single process may leave the choice of the port to the system.
    alone = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "LOCAL_RANK": "0"}
    for name, value in alone.items():
        monkeypatch.setenv(name, value)
    dataset = phantoms / "CXR_png" if kind == "inference" else phantoms
    settings = {"bundle_root": str(bundle_root()), "dataset_dir": str(dataset), "output_dir": str(tmp_path)}
    if kind == "train":
        settings |= {"ckpt_dir": str(bundle_root() / "models"), "progress": False}
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


def strings(value: object) -> Iterator[str]:
    """All strings within a config's values."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)
    elif isinstance(value, str):
        yield value


def targets(value: object) -> Iterator[dict]:
    """All components within a config."""
    if isinstance(value, dict | list):
        if isinstance(value, dict) and "_target_" in value:
            yield value
        for part in value.values() if isinstance(value, dict) else value:
            yield from targets(part)


def read(name: str) -> dict:
    return json.loads(config_file(name).read_text("utf-8"))


def test_the_configs_read_like_the_zoos():
    assert sum(text.startswith("$") for text in strings(read("train"))) <= 27
    own = [one for one in targets(read("inference")) if one["_target_"].startswith("lungseg.")]
    plain = {one["_target_"] for one in own if "@quality" not in one.get("_disabled_", "")}
    assert len(plain) <= 11
    assert len(own) == len(plain) + 1
    for name in ("evaluate", "multi_gpu_train", "multi_gpu_evaluate"):
        assert len(config_file(name).read_text("utf-8").splitlines()) <= 45


def test_image_transforms_are_stated_once_in_train():
    """The crop of the label map has the image's box, so it is computed from the image, too."""
    stated = [one["_target_"].rpartition(".")[2] for one in targets(read("train")) if "image" in one.get("keys", ())]
    for name in ("LoadImaged", "EnsureChannelFirstd", "CropForegroundd", "ResizeShorterSided", "CLAHEd"):
        assert stated.count(name) == 1, name


def test_training_and_inference_share_their_deterministic_transforms():
    train, inference = read("train"), read("inference")
    # Data sets are upright.
    prepare = [one for one in inference["prepare"] if not one["_target_"].endswith("TurnUprightd")]
    assert train["prepare"] == prepare
    load = [one | {"keys": "image"} for one in train["load"] if "image" in one["keys"]]
    assert load == inference["load"]
    # References need no estimate of the quality.
    finish = [*inference["probabilities"], *inference["regions"]]
    finish = [one for one in finish if not one["_target_"].endswith("EstimateQualityd")]
    assert [one | {"transform": ""} for one in train["validate"]["postprocessing"]["transforms"]] == [
        one | {"transform": ""} for one in finish
    ]
    # The number of outputs is that of the weights: the shipped ones know the heart.
    assert inference["network_def"] | {"out_channels": 0} == train["network_def"] | {"out_channels": 0}
    for same in ("image_size", "clahe", "threshold"):
        assert inference[same] == train[same]
    assert inference["network"] == train["network"]["network"]
    assert train["validate"]["inferer"] == inference["inferer"]


def test_quality_is_behind_one_switch(phantoms, tmp_path):
    root = shutil.copytree(bundle_root(), tmp_path / "bundle")
    file = root / "configs/inference.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"quality": False}))
    image = phantoms / "CXR_png/phantom_0001.png"
    plain, full = (Predictor(device="cpu", bundle=bundle).predict(image) for bundle in (open_bundle(root), None))
    assert plain.judgement == {"quality": None, "quality_lower": None, "doubts": {}, "notes": {}}
    assert full.quality is not None
    np.testing.assert_array_equal(plain.labels, full.labels)


def test_a_bundle_may_load_with_other_transforms(phantoms, tmp_path):
    """Files that the package's own group loads take a shorter way."""
    image = phantoms / "CXR_png/phantom_0001.png"
    found = {"own": Predictor(device="cpu").predict(image)}
    for name, added in {"same": "Identityd", "mirrored": "Flipd"}.items():
        root = shutil.copytree(bundle_root(), tmp_path / name, ignore=shutil.ignore_patterns("docs"))
        file = root / "configs/inference.json"
        config = json.loads(file.read_text("utf-8"))
        more = {"_target_": added, "keys": "image"} | ({"spatial_axis": 0} if added == "Flipd" else {})
        config["load"].append(more)
        file.write_text(json.dumps(config))
        found[name] = Predictor(device="cpu", bundle=open_bundle(root, trust=True)).predict(image)
    own, same = (dict(vars(found[name].radiograph)) for name in ("own", "same"))
    np.testing.assert_array_equal(own.pop("pixels"), same.pop("pixels"))
    assert own == same
    np.testing.assert_array_equal(found["same"].labels, found["own"].labels)
    np.testing.assert_array_equal(found["mirrored"].radiograph.pixels, found["own"].radiograph.pixels[:, ::-1])


def test_a_bundle_without_the_named_groups_is_refused(tmp_path):
    root = shutil.copytree(bundle_root(), tmp_path / "bundle", ignore=shutil.ignore_patterns("docs"))
    file = root / "configs/inference.json"
    config = json.loads(file.read_text("utf-8"))
    config["preprocessing"]["transforms"] = config.pop("load") + config.pop("prepare")
    file.write_text(json.dumps(config))
    with pytest.raises(LungsegError) as error:
        Predictor(device="cpu", bundle=open_bundle(root, trust=True))
    assert error.value.code == "bundle-without-groups"
    assert "'load'" in str(error.value)


def test_a_2_to_1_radiograph_takes_more_than_one_window(tmp_path):
    predictor = lungseg.load()
    passes: list[tuple] = []
    predictor.network.register_forward_hook(lambda module, inputs, output: passes.append(tuple(inputs[0].shape)))
    rng = np.random.default_rng(0)
    counts = {}
    for name, shape in {"square": (300, 300), "wide": (300, 600), "tall": (600, 300)}.items():
        Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8)).save(tmp_path / f"{name}.png")
        passes.clear()
        prepared = predictor.prepare(tmp_path / f"{name}.png")
        (logits,) = predictor.run([prepared])
        assert {window[2:] for window in passes} == {(256, 256)}
        counts[name] = sum(window[0] for window in passes)
        # Noise does not look like a radiograph, so that alternatives are segmented, too.
        assert predictor.finish(prepared, logits).labels.shape == shape
    assert counts["square"] == 1
    assert counts["wide"] == counts["tall"] == 2


@pytest.mark.slow
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
    # The workflows alone, which the bundle does not carry, need these two.
    needed = set(re.findall(r"^[\w-]+", setup["options"]["install_requires"], re.MULTILINE)) - {
        "filelock",
        "platformdirs",
    }
    metadata = json.loads(config_file("metadata").read_text())
    assert {*metadata["required_packages_version"], "monai", "torch", "numpy"} == needed


def test_metadata_speaks_of_this_package():
    metadata = json.loads(config_file("metadata").read_text())
    assert metadata["version"] == lungseg.__version__
    assert metadata["version"] in metadata["changelog"]
    assert list(metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values()) == [
        "background",
        "right_lung",
        "left_lung",
        "heart",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "inference"])
def test_verify_net_in_out(name):
    settings = {"net_id": "network_def", "config_file": config(name), "meta_file": config("metadata")}
    # Without initial weights a training does not know the heart, and has an output less than the shipped weights.
    start = {"init": bundle_root() / "models/model.pt"} if name == "train" else {}
    assert "verified with no error" in run("verify_net_in_out", *flags(settings | start))


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_packed_bundle_works_by_itself(phantoms, tmp_path):
    with zipfile.ZipFile(pack(tmp_path / "bundle.zip")) as archive:
        archive.extractall(tmp_path)
    root = tmp_path / "lung_cxr_segmentation"
    for unused in ("cli", "inference", "model/pack.py", "training/train.py", "bundle", "workflows"):
        assert not (root / "lungseg" / unused).exists()
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
    run(
        "run",
        *flags({"config_file": "configs/train.json", **common, "dataset_dir": phantoms, **SMALL}),
        cwd=root,
    )
    assert (root / "models/model_before_training.pt").is_file()
    assert (root / "runs/latest/history.json").is_file()


@pytest.mark.slow
def test_two_processes_train_and_evaluate(phantoms, tmp_path):
    settings = {"meta_file": config("metadata"), "bundle_root": bundle_root(), "dataset_dir": phantoms, **SMALL}
    # It takes a free port by itself.
    torchrun = ["--nproc_per_node=2", "--standalone", "--local-addr=127.0.0.1"]
    torchrun += ["-m", "monai.bundle", "run"]
    files = f"['{config('train')}','{config('multi_gpu_train')}']"
    # More than each process has, and fewer than both have.
    few = {"ckpt_dir": tmp_path, "output_dir": tmp_path, **settings, "batch_size": "12"}
    run(*torchrun, *flags({"config_file": files, **few}), module="torch.distributed.run")
    weights = torch.load(tmp_path / "model.pt", weights_only=True)
    assert not any(name.startswith("module.") for name in weights)
    del settings["epochs"]
    files = f"['{config('train')}','{config('evaluate')}','{config('multi_gpu_evaluate')}']"
    measured = flags(
        {"output_dir": tmp_path / "evaluation", "weights": tmp_path / "model.pt", "split": "all", **settings}
    )
    run(*torchrun, *flags({"config_file": files}), *measured, module="torch.distributed.run")
    rows = (tmp_path / "evaluation/cases.csv").read_text().splitlines()
    assert len(rows) == 1 + 24
    # The same command again, where one case is left for two processes.
    lines = (tmp_path / "evaluation/cases.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "evaluation/cases.jsonl").write_bytes(b"".join(lines[1:]))
    out = run(*torchrun, *flags({"config_file": files}), *measured, module="torch.distributed.run")
    assert "23 of 24 cases are finished and kept" in out
    assert (tmp_path / "evaluation/cases.jsonl").read_bytes() == b"".join(lines)
    assert (tmp_path / "evaluation/cases.csv").read_text().splitlines() == rows
