# SPDX-License-Identifier: Apache-2.0
"""`lungseg export` and the precisions: pictures in, lungseg's own probabilities out, each file judged by itself."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from data_support import REAL, needs_real_data
from PIL import Image

import lungseg
from lungseg.inference.export import _WRITERS, export
from lungseg.inference.export_parity import check_parity
from lungseg.inference.predictor import Predictor
from lungseg.io import Radiograph
from lungseg.model.backends import cpu_is_faster_in_bf16, make_backend
from lungseg.model.weights import weights_hash
from lungseg.utils.errors import UsageError

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

# Height and width: one window, several windows across and down, fewer pixels than a window.
SIZES = ((96, 130), (60, 200), (210, 64), (40, 44))


def textured(seed: int, height: int, width: int) -> np.ndarray:
    """A picture without a border, of deep grey values."""
    squares = np.random.default_rng(seed).random((height // 8 + 1, width // 8 + 1))
    return (4000 * np.kron(squares, np.ones((8, 8)))[:height, :width] - 500).astype(np.float32)


@pytest.fixture(scope="module")
def exported(run_folder, tmp_path_factory):
    """The folder of an export of a run, and the outcome of each format."""
    folder = tmp_path_factory.mktemp("export")
    return folder, export(folder, run_folder)


def by_onnx(file, picture: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"image": picture}), strict=True))


def by_torchscript(file, picture: np.ndarray) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in torch.jit.load(file)(torch.from_numpy(picture)).items()}


READERS = {"model.onnx": by_onnx, "model.ts": by_torchscript}


def of_lungseg(predictor: Predictor, picture: np.ndarray) -> np.ndarray:
    """lungseg's own probabilities (C, H, W) before it removes islands and fills holes; the picture has no border."""
    prepared = predictor.prepare(Radiograph(picture))
    (logits,) = predictor.run([prepared])
    found = torch.cat([logits[:3].softmax(0), logits[3:].sigmoid()])[None]
    size = picture.shape[::-1]
    return torch.nn.functional.interpolate(found, size=size, mode="bilinear")[0].mT.numpy()


@pytest.mark.parametrize("name", READERS)
def test_a_file_takes_pictures_in_their_order_and_of_any_size(exported, run_folder, name):
    folder, _ = exported
    predictor = Predictor(run_folder, device="cpu")
    for number, (height, width) in enumerate(SIZES):
        pictures = [textured(seed, height, width) for seed in (number, number + 9)]
        found = READERS[name](folder / name, np.stack(pictures)[:, None])
        assert set(found) == {"pred"}
        assert found["pred"].shape == (2, 3, height, width)
        assert found["pred"].dtype == np.float32
        for given, picture in zip(found["pred"], pictures, strict=True):
            np.testing.assert_allclose(given, of_lungseg(predictor, picture), atol=1e-3)


def test_the_files_state_what_their_user_needs(exported, run_folder):
    folder, _ = exported
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    stated = session.get_modelmeta().custom_metadata_map
    extra = {"metadata.json": ""}
    torch.jit.load(folder / "model.ts", _extra_files=extra)
    also_stated = json.loads(extra["metadata.json"])
    assert {key: str(value) for key, value in also_stated.items() if isinstance(value, str)}.items() <= stated.items()
    assert also_stated.keys() == stated.keys()
    assert json.loads(stated["channels"]) == {"pred": ["background", "right lung", "left lung"]}
    assert json.loads(stated["threshold"]) == 0.45
    assert json.loads(stated["percentiles"]) == [0.5, 99.5]
    assert stated["weights_sha256"] == weights_hash(run_folder / "model.pt")
    assert stated["lungseg_version"] == lungseg.__version__
    assert "rows from the top" in stated["input"]
    assert "Not a medical device" in stated["notice"]


def test_every_file_was_compared_on_phantoms(exported):
    folder, outcomes = exported
    assert [outcome.file for outcome in outcomes] == [folder / name for name in READERS]
    assert sorted(folder.iterdir()) == sorted(outcome.file for outcome in outcomes)
    assert all(outcome.parity.holds and outcome.parity.images == 4 for outcome in outcomes), outcomes


def test_torchscript_needs_no_further_package(command, run_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = command("export", "-o", tmp_path, "--weights", run_folder, "--format", "torchscript")
    assert done.status == 0
    assert str(tmp_path / "model.ts") in done.out
    assert [file.name for file in tmp_path.iterdir()] == ["model.ts"]


@pytest.mark.slow
@needs_real_data
def test_the_shipped_weights_are_compared_on_radiographs(tmp_path):
    radiographs = sorted(REAL.rglob("CXR_png/*.png"))[::100]
    assert len(radiographs) > 5
    outcomes = export(tmp_path, check=radiographs)
    assert all(outcome.parity.holds for outcome in outcomes), outcomes


def test_a_file_that_differs_is_named_and_the_other_one_is_written(command, run_folder, tmp_path, monkeypatch):
    def write_another_network(network, file, description):
        file.write_bytes(b"another network")
        return lambda image: {"pred": torch.full((1, 3, *image.shape[2:]), 1 / 3)}

    monkeypatch.setitem(_WRITERS, "onnx", write_another_network)
    done = command("export", "-o", tmp_path, "--weights", run_folder)
    assert done.status == 1
    assert str(tmp_path / "model.onnx") in done.sentence
    assert "phantom" in done.sentence
    assert "--format torchscript" in done.sentence
    assert "report it" not in done.sentence
    assert str(tmp_path / "model.ts") in done.out
    assert [file.name for file in tmp_path.iterdir()] == ["model.ts"]


def test_a_format_that_cannot_hold_the_network_leaves_the_other_one(run_folder, tmp_path, monkeypatch):
    def refuse(*_):
        raise RuntimeError("an operator is not supported")

    monkeypatch.setitem(_WRITERS, "onnx", refuse)
    onnx, torchscript = export(tmp_path, run_folder)
    assert onnx.error.code == "export-failed"
    assert "an operator is not supported" in str(onnx.error)
    assert torchscript.file.is_file()


class Rounded(torch.nn.Module):
    """Probabilities near the threshold everywhere, which single precision rounds by up to `by`."""

    def __init__(self, by: float, seed: int = 0) -> None:
        super().__init__()
        self.by, self.seed = by, seed

    def forward(self, image):
        noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(self.seed)) - 0.5
        lung = torch.full_like(image, 0.45) + (2 * self.by * noise if image.dtype == torch.float32 else 0)
        return {"pred": torch.cat([1 - lung, lung, torch.zeros_like(lung)], dim=1)}


@pytest.mark.parametrize(("own", "of_file", "holds"), [(0, 1e-4, True), (0, 0.02, False), (0.02, 0.02, True)])
def test_rounding_is_allowed_and_nothing_else(own, of_file, holds):
    (parity,) = check_parity({"file": Rounded(of_file, seed=1)}, Rounded(own), 0.45).values()
    assert parity.holds is holds
    # An unsure network gets other labels from the last bit.
    assert parity.labels > 0.1


def test_another_shape_and_a_value_that_is_no_number_do_not_pass():
    def short(image):
        return {"pred": torch.zeros(1, 3, 2, 2)}

    def broken(image):
        return {"pred": Rounded(0)(image)["pred"] * float("nan")}

    compared = check_parity({"short": short, "broken": broken}, Rounded(0), 0.45)
    assert not any(getattr(parity, "holds", False) for parity in compared.values())


def test_equalised_contrast_cannot_be_exported(command, run_folder, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    config = json.loads((run_folder / "config.json").read_text("utf-8")) | {"clahe": True}
    (run / "config.json").write_text(json.dumps(config), "utf-8")
    (run / "model.pt").write_bytes((run_folder / "model.pt").read_bytes())
    done = command("export", "-o", tmp_path / "out", "--weights", run)
    assert done.status == 2
    assert "clahe" in done.sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["AttentionUnet", "SegResNet", "DynUNet"])
def test_other_networks(run_folder, tmp_path, name):
    from monai.networks import nets

    small = {
        "AttentionUnet": {"channels": [4, 8, 16], "strides": [2, 2]},
        "SegResNet": {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]},
        "DynUNet": {
            "kernel_size": [3, 3, 3],
            "strides": [1, 2, 2],
            "upsample_kernel_size": [2, 2],
            "filters": [4, 8, 16],
        },
    }
    settings = {"spatial_dims": 2, "in_channels": 1, "out_channels": 3, **small[name]}
    run = tmp_path / "run"
    run.mkdir()
    config = json.loads((run_folder / "config.json").read_text("utf-8"))
    config["network_def"] = {"_target_": name, **settings}
    (run / "config.json").write_text(json.dumps(config), "utf-8")
    torch.manual_seed(0)
    torch.save(getattr(nets, name)(**settings).state_dict(), run / "model.pt")
    for outcome in export(tmp_path / "out", run):
        assert outcome.error is None
        assert outcome.file.is_file()


def test_radiographs_to_check_that_are_not_there(command, run_folder, tmp_path):
    done = command("export", "-o", tmp_path / "out", "--weights", run_folder, "--check", tmp_path)
    assert done.status == 2
    assert str(tmp_path) in done.sentence
    assert not (tmp_path / "out").exists()


def test_a_radiograph_that_cannot_be_read_is_left_out(run_folder, dataset, tmp_path, command):
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"no picture")
    image = dataset / "CXR_png" / "phantom_0002.png"
    call = ("export", "-o", tmp_path / "out", "--weights", run_folder, "--format", "torchscript", "--check")
    done = command(*call, damaged, image)
    assert done.status == 0
    assert "left out" in done.sentence
    assert str(damaged) in done.sentence
    (tmp_path / "out" / "model.ts").unlink()
    done = command(*call, damaged)
    assert done.status == 1
    assert not list((tmp_path / "out").iterdir())


def test_a_precision_that_is_not_known():
    with pytest.raises(UsageError) as error:
        make_backend(torch.nn.Identity(), torch.device("cpu"), "fp16")
    assert error.value.code == "unknown-precision"


def test_bfloat16_is_for_processors_that_have_it(command, run_folder, dataset, tmp_path, monkeypatch):
    image = dataset / "CXR_png" / "phantom_0002.png"
    call = ("predict", image, "--weights", run_folder, "--precision", "bf16", "-o")
    if cpu_is_faster_in_bf16():
        assert command(*call, tmp_path / "out").status == 0
        found = np.asarray(Image.open(tmp_path / "out" / "labels" / image.name))
        expected = lungseg.load(run_folder, device="cpu").predict(image).labels
        # A network trained for two seconds is unsure everywhere, so more differs than the limits for radiographs allow.
        assert (found != expected).mean() < 0.02
    monkeypatch.setattr("lungseg.model.backends.cpu_is_faster_in_bf16", lambda: False)
    done = command(*call, tmp_path / "none")
    assert done.status == 2
    assert "--precision fp32" in done.sentence
    assert not (tmp_path / "none").exists()


def test_an_export_whose_package_is_missing(command, run_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = command("export", "-o", tmp_path / "out", "--weights", run_folder)
    assert done.status == 2
    assert "onnxruntime" in done.sentence
    assert not (tmp_path / "out").exists()


@needs_real_data
@pytest.mark.skipif(not cpu_is_faster_in_bf16(), reason="this processor does not multiply bfloat16 in hardware")
def test_pytorch_finds_the_same_lungs_in_bfloat16():
    radiographs = sorted(REAL.rglob("CXR_png/*.png"))[::25]
    in_full, in_half = (Predictor(device="cpu", precision=precision) for precision in ("fp32", "bf16"))
    differ = [(in_full.predict(path).labels != in_half.predict(path).labels).mean() for path in radiographs]
    assert np.mean(differ) < 0.0005
    assert 0 < max(differ) < 0.005
