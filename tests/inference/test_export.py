# SPDX-License-Identifier: Apache-2.0
"""`lungseg export` and the precisions: the same label maps, or no file."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from data_support import REAL, needs_real_data
from PIL import Image

import lungseg
from lungseg.inference.export import Parity, export
from lungseg.inference.predictor import Predictor
from lungseg.model.backends import EXPORT_FORMATS, cpu_is_faster_in_bf16, make_backend
from lungseg.utils.errors import UsageError

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def exported(run_folder, tmp_path_factory):
    """The folder of an export, its files and how they compare."""
    folder = tmp_path_factory.mktemp("export")
    return folder, *export(folder, run_folder)


def test_the_files_give_the_networks_logits_for_any_number_of_windows(exported, run_folder):
    import onnxruntime

    folder, files, _ = exported
    assert files == [folder / name for name in ("model.onnx", "model.ts")]
    assert sorted(folder.iterdir()) == files
    session = onnxruntime.InferenceSession(files[0], providers=["CPUExecutionProvider"])
    scripted = torch.jit.load(files[1])
    network = lungseg.load(run_folder, device="cpu").network
    for windows in (1, 3):
        image = torch.rand(windows, 1, 48, 48, generator=torch.Generator().manual_seed(windows))
        with torch.inference_mode():
            expected = network(image)
            torch.testing.assert_close(scripted(image), expected, rtol=1e-3, atol=1e-3)
        (onnx,) = session.run(["pred"], {"image": image.numpy()})
        torch.testing.assert_close(torch.from_numpy(onnx), expected, rtol=1e-3, atol=1e-3)


def test_every_file_was_compared_on_phantoms(exported):
    _, _, parities = exported
    assert [parity.name for parity in parities] == list(EXPORT_FORMATS)
    assert {parity.images for parity in parities} == {4}
    assert all(parity.holds for parity in parities), parities


def test_torchscript_needs_no_further_package(run_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    files, _ = export(tmp_path, run_folder, ["torchscript"])
    assert files == [tmp_path / "model.ts"]


@pytest.mark.slow
@needs_real_data
def test_the_shipped_weights_are_compared_on_radiographs(tmp_path):
    radiographs = sorted(REAL.rglob("CXR_png/*.png"))[::50]
    assert len(radiographs) > 10
    _, parities = export(tmp_path, check=radiographs)
    assert all(parity.holds for parity in parities), parities


@pytest.mark.parametrize(("mean", "worst", "holds"), [(0.0001, 0.0004, True), (0.0001, 0.0006, False)])
def test_the_limits_of_parity(mean, worst, holds):
    assert Parity("onnx", 3, mean, worst).holds is holds


def test_an_export_that_is_not_the_network_is_refused(command, run_folder, tmp_path, monkeypatch):
    def shifted(file):
        return lambda images: torch.cat([images, images + 1, images - 1], dim=1)

    monkeypatch.setattr("lungseg.inference.export._onnx_backend", shifted)
    done = command("export", "-o", tmp_path, "--weights", run_folder, "--format", "onnx")
    assert done.status == 1
    assert "(onnx: " in done.sentence
    assert not list(tmp_path.iterdir())


def test_radiographs_to_check_that_are_not_there(command, run_folder, tmp_path):
    done = command("export", "-o", tmp_path / "out", "--weights", run_folder, "--check", tmp_path)
    assert done.status == 2
    assert str(tmp_path) in done.sentence
    assert not (tmp_path / "out").exists()


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
