# SPDX-License-Identifier: Apache-2.0
"""A student's afternoon: forty public radiographs, from the first training to a mask from an array.

Each command is one that a student would type. `pytest -s` shows what they print.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from data_support import REAL, needs_real_data
from stopping_support import wait_for

pytestmark = [pytest.mark.slow, needs_real_data]

_PAIRS = 40
_ARRAY = """
import sys
import numpy as np
from PIL import Image
import lungseg
pixels = np.asarray(Image.open(sys.argv[1]).convert("L"))
lungs = lungseg.load("runs/tuned").predict(pixels)
print(lungs.labels.shape == pixels.shape, np.unique(lungs.labels).tolist(), lungs.measurements["lungs_px"] > 0)
"""


@pytest.fixture
def pairs(tmp_path) -> Path:
    """Every seventeenth pair of the public collection, in the collection's own layout."""
    source, folder = REAL / "Lung Segmentation", tmp_path / "xrays"
    masks = {path.stem.removesuffix("_mask"): path for path in sorted((source / "masks").glob("*.png"))}
    images = [path for path in sorted((source / "CXR_png").glob("*.png")) if path.stem in masks]
    for path in images[:: len(images) // _PAIRS][:_PAIRS]:
        for file in (path, masks[path.stem]):
            (folder / file.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / file.parent.name)
    return folder


class Terminal:
    """A shell in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, line: str) -> subprocess.Popen[str]:
        """Start a line, in a process group of its own as a terminal does."""
        print(f"\n$ {line}", flush=True)
        words = shlex.split(line)
        command = [sys.executable, "-m", "lungseg", *words[1:]] if words[0] == "lungseg" else words
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[str], *statuses: int) -> str:
        """Wait for the end of a line, and return what it printed."""
        said: str = process.communicate(timeout=900)[0]
        print(said, flush=True)
        assert process.returncode in (statuses or (0,)), said
        assert "Traceback" not in said
        assert "Warning" not in said
        return said

    def run(self, line: str) -> str:
        return self.end(self.start(line))


def test_train_stop_resume_evaluate_tune_compare_export_predict(pairs, tmp_path):
    shell = Terminal(tmp_path)
    assert "40 pairs" in shell.run("lungseg check-data xrays --no-model")

    training = shell.start("lungseg train --data xrays -o runs/first --epochs 3")
    log = tmp_path / "runs" / "first" / "train.log"
    wait_for(lambda: (log.exists() and "epoch 1/3" in log.read_text()) or training.poll() is not None, 600)
    training.send_signal(signal.SIGINT)
    # Where the interrupt passes `eval`, in which MONAI runs a training, Python ends by the signal; a shell says 130.
    said = shell.end(training, 130, -signal.SIGINT)
    assert "lungseg train --resume --output runs/first" in said
    shell.run("lungseg train --resume -o runs/first")
    history = json.loads((tmp_path / "runs" / "first" / "history.json").read_text())
    assert [entry["epoch"] for entry in history] == [0, 1, 2, 3]

    shell.run("lungseg evaluate --data xrays --weights runs/first -o evaluations/first")
    shell.run("lungseg train --data xrays --init open -o runs/tuned --epochs 3")
    first, tuned = (
        json.loads((tmp_path / "runs" / name / "run.json").read_text())["best"] for name in ("first", "tuned")
    )
    assert tuned["val_mean_iou"] > max(0.85, first["val_mean_iou"])

    said = shell.run("lungseg compare runs/first runs/tuned --data xrays -o comparison")
    assert "better" in said
    page = (tmp_path / "comparison" / "index.html").read_text("utf-8")
    assert str(tmp_path) not in page

    image = sorted((pairs / "CXR_png").iterdir())[0].relative_to(tmp_path)
    shell.run(f"lungseg export --weights runs/tuned -o exported --format onnx --check {image}")
    said = shell.end(
        subprocess.Popen(
            [sys.executable, "-c", _ARRAY, image],
            cwd=tmp_path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    )
    assert said.strip() == "True [0, 1, 2] True"
    said = shell.run(f"lungseg predict {image} -o out --weights runs/tuned")
    assert "open out/report.html" in said.rstrip().splitlines()[-1]
