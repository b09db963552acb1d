# SPDX-License-Identifier: Apache-2.0
"""`lungseg demo`: segment a real radiograph, then train and evaluate a small network, with nothing to download."""

from __future__ import annotations

import shutil
import time
from os import PathLike
from pathlib import Path

from lungseg.data.phantoms import write_phantoms
from lungseg.evaluation.evaluate import evaluate
from lungseg.inference.predict import predict
from lungseg.training.train import train
from lungseg.utils.errors import UsageError
from lungseg.utils.files import usable_folder

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


def demo(output: str | PathLike) -> None:
    """Run the demo and print a table of what it did and where the pictures are.

    Args:
        output: folder for everything; an earlier demo in it is replaced.

    Raises:
        UsageError: the folder holds something else than a demo.
    """
    output = Path(output)
    if output.exists() and not (output / _MARK).is_file():
        raise UsageError("the folder holds something else than a demo", output, "choose another with --output")
    shutil.rmtree(output, ignore_errors=True)
    (usable_folder(output) / _MARK).touch()
    steps: list[tuple[str, str, float, Path]] = []

    def note(what: str, result: str, picture: Path) -> None:
        nonlocal began
        steps.append((what, result, time.perf_counter() - began, picture))
        began = time.perf_counter()

    began = time.perf_counter()
    print("1. Segmenting with the shipped weights …")
    phantoms = output / "phantoms"
    write_phantoms(phantoms, count=48, seed=0)
    radiograph = real_radiograph()
    inputs = [*([radiograph] if radiograph else []), *sorted((phantoms / "CXR_png").iterdir())[:3]]
    rows = predict(inputs, output / "segmented")
    fine = sum(row.status == "ok" for row in rows)
    kind = "a real chest radiograph and phantoms" if radiograph else "phantoms (no pydicom-data: no real radiograph)"
    note(f"segmented {kind}", f"{fine} of {len(rows)} ok", output / "segmented" / "overlays")

    print("2. Training a small network on phantoms …")
    record = train(output / "run", {"dataset_dir": str(phantoms), **_SMALL})
    note(
        "trained a small network on phantoms",
        f"validation IoU {record['best']['val_mean_iou']:.3f}",
        output / "run/curves.png",
    )

    print("3. Evaluating it on phantoms that it never saw …")
    summary = evaluate(output / "evaluation", "test", output / "run", {"dataset_dir": str(phantoms)})
    iou = summary["overall"]["metrics"]["iou"]
    note(f"evaluated it on {iou['n']} unseen phantoms", f"mean IoU {iou['mean']:.3f}", output / "evaluation/index.html")

    width = max(len(what) for what, *_ in steps)
    print()
    for what, result, seconds, picture in steps:
        print(f"{what:{width}}  {result:22}  {seconds:4.0f} s  {picture}")
    print("\nNot a medical device.")


def real_radiograph() -> Path | None:
    """Return the real chest radiograph (CR, MONOCHROME1) that the package pydicom-data carries, if it is installed."""
    from pydicom.data import get_testdata_file

    found = get_testdata_file(_RADIOGRAPH, download=False)
    return Path(found) if found else None
