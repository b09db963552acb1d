# SPDX-License-Identifier: Apache-2.0
"""`lungseg demo`: segment a real radiograph, then train and evaluate a small network, with nothing to download."""

from __future__ import annotations

import argparse
import shutil
import time
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from lungseg.cli.console import print_result
from lungseg.cli.options import add_command, add_output
from lungseg.utils.errors import UsageError

if TYPE_CHECKING:
    from lungseg.cli.options import Commands

_RADIOGRAPH = "RG1_UNCR.dcm"
_MARK = ".lungseg-demo"
# Small enough for two minutes on two cores; the real settings are those of train.json.
_SMALL = {
    "network_def#channels": [8, 16, 32, 64],
    "network_def#strides": [2, 2, 2],
    "image_size": 96,
    "batch_size": 4,
    "num_workers": 0,
    "learning_rate": 0.005,
    "epochs": 8,
    "val_interval": 2,
}


def add_demo(commands: Commands) -> None:
    """Add `lungseg demo`."""
    purpose = "segment, train and evaluate in about two minutes, with nothing to download"
    demo = add_command(commands, "demo", purpose, "lungseg demo -o lungseg-demo", _demo)
    add_output(demo, "folder for the results", "lungseg-demo")


def real_radiograph() -> Path | None:
    """Return the real chest radiograph (CR, MONOCHROME1) of the package pydicom-data, if that is installed."""
    from pydicom.data import get_testdata_file

    found = get_testdata_file(_RADIOGRAPH, download=False)
    return Path(str(found)) if found else None


def _demo(options: argparse.Namespace) -> int:
    began = time.perf_counter()
    output = _empty_folder(options.output)
    steps: list[tuple[str, str, float, Path]] = []
    for number, (announcement, step) in enumerate(
        (
            ("Segmenting with the shipped weights", _segment),
            ("Training a small network on phantoms", _train),
            ("Evaluating it on phantoms that it never saw", _evaluate),
        ),
        start=1,
    ):
        print_result(f"{number}. {announcement} …")
        done, result, picture = step(output)
        now = time.perf_counter()
        steps.append((done, result, now - began, picture))
        began = now
    width = max(len(done) for done, *_ in steps)
    print_result("")
    for done, result, seconds, picture in steps:
        print_result(f"{done:{width}}  {result:22}  {seconds:4.0f} s  {picture}")
    print_result("\nNot a medical device.")
    return 0


def _empty_folder(output: str | PathLike[str]) -> Path:
    """Make a folder for the demo, in place of an earlier demo's."""
    from lungseg.utils.files import usable_folder

    output = Path(output)
    if output.exists() and not (output / _MARK).is_file():
        remedy = "choose another with --output"
        raise UsageError("the folder holds something other than a demo", output, remedy, code="folder-not-a-demo")
    shutil.rmtree(output, ignore_errors=True)
    (usable_folder(output) / _MARK).touch()
    return output


def _segment(output: Path) -> tuple[str, str, Path]:
    from lungseg.data.phantoms import write_phantoms
    from lungseg.inference.predict import predict

    write_phantoms(output / "phantoms", count=48, seed=0)
    radiograph = real_radiograph()
    inputs = [*([radiograph] if radiograph else []), *sorted((output / "phantoms" / "CXR_png").iterdir())[:3]]
    rows = predict(inputs, output / "segmented")
    fine = sum(row.status == "ok" for row in rows)
    kind = "a real chest radiograph and phantoms" if radiograph else "phantoms (no pydicom-data: no real radiograph)"
    return f"segmented {kind}", f"{fine} of {len(rows)} ok", output / "segmented" / "overlays"


def _train(output: Path) -> tuple[str, str, Path]:
    from lungseg.training.train import train

    record = train(output / "run", {"dataset_dir": str(output / "phantoms"), **_SMALL})
    result = f"validation IoU {record['best']['val_mean_iou']:.3f}"
    return "trained a small network on phantoms", result, output / "run" / "curves.png"


def _evaluate(output: Path) -> tuple[str, str, Path]:
    from lungseg.evaluation.evaluate import evaluate

    settings = {"dataset_dir": str(output / "phantoms")}
    summary = evaluate(output / "evaluation", "test", output / "run", settings)
    iou = summary["overall"]["metrics"]["iou"]
    picture = output / "evaluation" / "index.html"
    return f"evaluated it on {iou['n']} unseen phantoms", f"mean IoU {iou['mean']:.3f}", picture
