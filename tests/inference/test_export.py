# SPDX-License-Identifier: Apache-2.0
"""`lungseg export` and the engines: the same label maps, or none."""

from __future__ import annotations

import csv
import subprocess
import sys

import numpy as np
import pytest
import torch
from data_support import REAL, needs_real_data
from PIL import Image

import lungseg
from lungseg.inference.export import Parity, export
from lungseg.inference.predictor import Predictor
from lungseg.model import backends as engines
from lungseg.model.backends import cpu_is_faster_in_bf16

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
openvino = pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def exported(run_folder, tmp_path_factory):
    """The folder of an export, what is in it and how it compares."""
    folder = tmp_path_factory.mktemp("export")
    return folder, *export(folder, run_folder)


def test_the_files_give_the_networks_logits_for_any_number_of_windows(exported, run_folder):
    import onnxruntime

    folder, files, _ = exported
    assert files == [folder / name for name in ("model.bin", "model.onnx", "model.xml")]
    assert sorted(folder.iterdir()) == files
    session = onnxruntime.InferenceSession(files[1], providers=["CPUExecutionProvider"])
    compiled = engines.OpenVinoEngine(files[2])
    network = lungseg.load(run_folder, device="cpu").network
    for windows in (1, 3):
        image = torch.rand(windows, 1, 48, 48, generator=torch.Generator().manual_seed(windows))
        with torch.inference_mode():
            expected = network(image)
        (onnx,) = session.run(["pred"], {"image": image.numpy()})
        torch.testing.assert_close(torch.from_numpy(onnx), expected, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(compiled(image), expected, rtol=1e-3, atol=1e-3)


def test_every_file_was_compared_on_phantoms(exported):
    _, _, parities = exported
    assert [parity.name for parity in parities] == ["onnx fp32", "openvino fp32"]
    assert {parity.images for parity in parities} == {4}
    assert all(parity.holds for parity in parities), parities


@needs_real_data
def test_the_shipped_weights_are_compared_on_radiographs_in_bfloat16_too(tmp_path):
    radiographs = sorted(REAL.rglob("CXR_png/*.png"))[::25]
    assert len(radiographs) > 20
    _, parities = export(tmp_path, check=radiographs)
    assert ("openvino bf16" in [parity.name for parity in parities]) == cpu_is_faster_in_bf16()
    assert all(parity.holds for parity in parities), parities


@pytest.mark.parametrize(
    ("name", "mean", "worst", "holds"),
    [
        ("onnx fp32", 0.0001, 0.0004, True),
        ("openvino fp32", 0.0001, 0.0006, False),
        ("openvino bf16", 0.0004, 0.0049, True),
        ("openvino bf16", 0.0006, 0.0007, False),
        ("openvino bf16", 0.0001, 0.0051, False),
    ],
)
def test_the_limits_of_parity(name, mean, worst, holds):
    assert Parity(name, 3, mean, worst).holds is holds


def test_an_export_that_is_not_the_network_is_refused(command, run_folder, tmp_path, monkeypatch):
    def shifted(file):
        return lambda images: torch.cat([images, images + 1, images - 1], dim=1)

    monkeypatch.setattr("lungseg.inference.export._onnx_runtime", shifted)
    done = command("export", "-o", tmp_path, "--weights", run_folder, "--format", "onnx")
    assert done.status == 1
    assert "the exported network is not PyTorch's (onnx fp32: " in done.sentence
    assert not list(tmp_path.iterdir())


def test_radiographs_to_check_that_are_not_there(command, run_folder, tmp_path):
    done = command("export", "-o", tmp_path / "out", "--weights", run_folder, "--check", tmp_path)
    assert done.status == 2
    assert "the folder holds no picture" in done.sentence
    assert not (tmp_path / "out").exists()


def test_openvino_segments_as_pytorch_does(command, run_folder, dataset, tmp_path):
    image = dataset / "CXR_png" / "phantom_0002.png"
    done = command("predict", image, "-o", tmp_path, "--weights", run_folder, "--engine", "openvino")
    assert done.status == 0, done.err
    found = np.asarray(Image.open(tmp_path / "labels" / image.name))
    expected = lungseg.load(run_folder, device="cpu").predict(image)
    assert (found != expected.labels).mean() < 0.0005
    with (tmp_path / "report.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert float(row["quality"]) == pytest.approx(expected.quality, abs=0.005)


def test_the_second_opinion_has_the_same_engine():
    second = Predictor("shipped", "cpu", "openvino").second
    image = torch.rand(1, 256, 288, generator=torch.Generator().manual_seed(0))
    assert isinstance(second.network, engines.OpenVinoEngine)
    torch.testing.assert_close(second(image), Predictor("shipped", "cpu").second(image), atol=1e-3, rtol=0)


# OpenVINO sets the thread's alternate signal stack with each of its cores and frees it with the core. With two of them
# the second is left with freed memory, and the next signal that Python handles ends the process.
_SIGNAL_AFTER_ENGINES = """
import signal, sys
from lungseg.engines import OpenVinoEngine

first = OpenVinoEngine(sys.argv[1])
second = OpenVinoEngine(sys.argv[1])
del first
del second
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
signal.raise_signal(signal.SIGUSR1)
"""


def test_signals_are_handled_after_engines_are_gone(exported):
    folder, *_ = exported
    done = subprocess.run(
        [sys.executable, "-c", _SIGNAL_AFTER_ENGINES, folder / "model.xml"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


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
    assert "does not multiply bfloat16 in hardware; use --precision fp32." in done.sentence
    assert not (tmp_path / "none").exists()


def test_an_engine_whose_package_is_missing(command, run_folder, dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    for call in (
        ("predict", dataset / "CXR_png", "-o", tmp_path / "out", "--weights", run_folder, "--engine", "openvino"),
        ("export", "-o", tmp_path / "out", "--weights", run_folder),
    ):
        done = command(*call)
        assert done.status == 2
        assert (
            'the package openvino is not installed; install it with pip install "lungseg[openvino]".' in done.sentence
        )
        assert not (tmp_path / "out").exists()


@needs_real_data
@pytest.mark.skipif(not cpu_is_faster_in_bf16(), reason="this processor does not multiply bfloat16 in hardware")
def test_pytorch_finds_the_same_lungs_in_bfloat16():
    radiographs = sorted(REAL.rglob("CXR_png/*.png"))[::25]
    in_full, in_half = (Predictor(device="cpu", precision=precision) for precision in ("fp32", "bf16"))
    differ = [(in_full.predict(path).labels != in_half.predict(path).labels).mean() for path in radiographs]
    assert Parity("torch bf16", len(differ), np.mean(differ), max(differ)).holds
    assert max(differ) > 0
