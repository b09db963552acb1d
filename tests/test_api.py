# SPDX-License-Identifier: Apache-2.0
"""The public functions, and the page that documents them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lungseg
from lungseg.cli.demo import real_radiograph
from lungseg.data import phantom
from lungseg.utils.errors import LungsegError, UsageError

ROOT = Path(__file__).resolve().parents[1]


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


def test_the_page_on_the_api(tmp_path, monkeypatch, radiograph, capsys):
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    if (source := real_radiograph()) is None:
        pytest.skip("the package pydicom-data is not installed")
    os.symlink(source, "chest.dcm")
    Image.fromarray(radiograph).save("chest.png")
    Path("radiographs").mkdir()
    for number in range(3):
        Image.fromarray(phantom(number, (96, 72))[0]).save(f"radiographs/{number}.png")
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "api.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert len(blocks) > 10
    names: dict[str, object] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"docs/api.md, example {number}", "exec"), names)
    printed = capsys.readouterr().out
    assert "not-found" in printed
    assert "square millimetres" in printed
    assert (tmp_path / "out" / "report.csv").is_file()
    assert len(names["table"]) == len(names["results"]) == 3


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
