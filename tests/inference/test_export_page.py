# SPDX-License-Identifier: Apache-2.0
"""The lines of docs/export.md, which use nothing of lungseg, find lungseg's own lungs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pytest
from command_support import restored_process
from data_support import REAL, needs_real_data
from PIL import Image

import lungseg
from lungseg.cli.main import main
from lungseg.data import phantom

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "export.md"
LEAST_DICE = 0.995
# Of train and validation lists: both collections, with bars and without; children and adults, two of them bedside.
RADIOGRAPHS = (
    "Lung Segmentation/CXR_png/MCUCXR_0003_0.png",
    "Lung Segmentation/CXR_png/MCUCXR_0041_0.png",
    "Lung Segmentation/CXR_png/MCUCXR_0117_1.png",
    "Lung Segmentation/CXR_png/CHNCXR_0002_0.png",
    "Lung Segmentation/CXR_png/CHNCXR_0006_0.png",
    "wards/images/adult_0062.jpg",
    "wards/images/adult_0093.jpg",
    "wards/images/child_0004.jpg",
    "wards/images/child_0027.jpg",
)


@pytest.fixture(scope="module")
def blocks() -> list[CodeType]:
    found = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [compile(block, f"docs/export.md, example {number}", "exec") for number, block in enumerate(found)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder in which the page's command was run, with the shipped weights."""
    folder = tmp_path_factory.mktemp("page")
    with restored_process():
        assert main(["export", "-o", str(folder / "exported")]) == 0
    return folder


@pytest.fixture
def beside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def compare(folder: Path, lines: CodeType) -> None:
    """Run the page's lines on chest.png, and compare both files that they write with lungseg's result."""
    exec(lines, {})
    labels, mask = (np.asarray(Image.open(folder / name)) for name in ("labels.png", "mask.png"))
    expected = lungseg.load(device="cpu").predict(folder / "chest.png")
    assert labels.shape == expected.labels.shape
    assert dice(mask == 255, expected.mask == 255) > LEAST_DICE
    assert np.array_equal(mask > 0, labels > 0)
    for side in (1, 2):
        assert dice(labels == side, expected.labels == side) > LEAST_DICE


@pytest.mark.parametrize(("seed", "size", "bits"), [(0, (512, 512), 8), (1, (600, 430), 8), (3, (480, 560), 16)])
def test_the_lines_on_phantoms(beside, blocks, seed, size, bits):
    Image.fromarray(phantom(seed, size, bits)[0]).save("chest.png")
    compare(beside, blocks[0])


@needs_real_data
@pytest.mark.parametrize("name", RADIOGRAPHS)
def test_the_lines_on_radiographs(beside, blocks, name):
    file = REAL / name
    if file.suffix == ".png":
        shutil.copyfile(file, "chest.png")
    else:
        Image.open(file).save("chest.png")
    compare(beside, blocks[0])


@needs_real_data
@pytest.mark.parametrize("size", [(390, 512), (1400, 1150), (300, 500)])
def test_the_lines_on_another_size(beside, blocks, size):
    radiograph = Image.open(REAL / RADIOGRAPHS[3])
    radiograph.resize(size, Image.Resampling.LANCZOS).save("chest.png")
    compare(beside, blocks[0])


@needs_real_data
def test_the_lines_that_remove_islands(beside, blocks):
    # One of those that have islands.
    shutil.copyfile(REAL / "Lung Segmentation/CXR_png/CHNCXR_0136_0.png", "chest.png")
    names: dict[str, Any] = {}
    for block in blocks[:2]:
        exec(block, names)
    expected = lungseg.load(device="cpu").predict("chest.png").labels
    assert all(dice(names["labels"] == side, expected == side) > LEAST_DICE for side in (1, 2))


def test_the_other_lines_of_the_page(beside, blocks, capsys):
    Image.fromarray(phantom(0, (512, 400))[0]).save("chest.png")
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    assert "background" in capsys.readouterr().out
    assert names["pred"].shape[:2] == (1, 3)
