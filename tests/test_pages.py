# SPDX-License-Identifier: Apache-2.0
"""Every block of the pages that say how runs, one after the other, on phantoms and a real radiograph."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from pages_support import PageError, PageRunner, commands_of, read_blocks
from PIL import Image

from lungseg.cli.demo import real_radiograph
from lungseg.data import phantom, write_phantoms
from lungseg.model.paths import bundle_root

PAGES = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture
def runner(tmp_path, radiograph):
    """A runner in a folder that has what the pages name: a radiograph, a folder of some, and a data set."""
    if (source := real_radiograph()) is None:
        pytest.skip("the package pydicom-data is not installed")
    os.symlink(source, tmp_path / "chest.dcm")
    Image.fromarray(radiograph).save(tmp_path / "chest.png")
    (tmp_path / "radiographs").mkdir()
    for number in range(3):
        Image.fromarray(phantom(number, (96, 72))[0]).save(tmp_path / f"radiographs/{number}.png")
    write_phantoms(tmp_path / "Lung Segmentation", 20, seed=7, size=(96, 72))
    return PageRunner(tmp_path)


@pytest.mark.slow
def test_the_page_on_python(runner):
    pytest.importorskip("pandas")
    runner.run_page(PAGES / "python.md")
    printed = "".join(runner.printed.values())
    assert len(runner.printed) > 10
    assert not runner.skipped
    assert "not-found" in printed
    assert "square millimetres" in printed
    assert (runner.folder / "out" / "report.csv").is_file()
    assert len(runner.names["table"]) == len(runner.names["results"]) == 3


@pytest.mark.slow
def test_the_page_on_training(runner):
    shutil.copytree(bundle_root(), runner.folder / "bundle")
    runner.run_page(PAGES / "train.md")
    assert set(runner.skipped.values()) <= {"mlflow is not installed"}
    for name in ("mine", "fine-tuned", "segresnet", "wider", "weighted", "two", "monai"):
        assert (runner.folder / "runs" / name / "model.pt").is_file(), name
    for name in ("figures", "figures-validation", "figures-monai", "compared", "runs/folds"):
        assert (runner.folder / name / "index.html").is_file(), name


def test_a_page_that_fails_names_its_block(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nx = 1\n```\n\n```sh\nlungseg train --epoch-number 3\n```\n")
    runner = PageRunner(tmp_path)
    with pytest.raises(PageError, match=r"(?s)page.md, block 2 \(sh, line 7\).*--epoch-number"):
        runner.run_page(page)
    assert runner.names["x"] == 1
    page.write_text("```python\n\nraise KeyError('x')\n```\n```sh\nrm -r /\n```\n")
    failing, unknown = read_blocks(page)
    with pytest.raises(PageError, match=r"block 1 \(python, line 1\): KeyError"):
        runner.run(failing)
    with pytest.raises(PageError, match="cannot run rm"):
        runner.run(unknown)


def test_commands_may_be_continued_and_commented():
    text = 'lungseg train --data "Lung Segmentation" \\\n  -o runs/mine a#b=1  # one\n\n# two\nlungseg --help\n'
    assert commands_of(text) == [
        ["lungseg", "train", "--data", "Lung Segmentation", "-o", "runs/mine", "a#b=1"],
        ["lungseg", "--help"],
    ]
