# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict`: many files in; masks, label maps, overlays and a report out."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path

import numpy as np

from lungseg.errors import LungsegError, UsageError
from lungseg.files import atomic_path
from lungseg.images import draw_overlay, find_radiographs, write_png
from lungseg.predictor import Prediction, Predictor


@dataclass(frozen=True)
class Row:
    """One line of `report.csv`; what is not known is empty.

    Attributes:
        file: the input as it was named.
        status: "ok", "flagged" (segmented, but look at it) or "failed".
        reason: why it was flagged or failed.
        right_px, left_px, lungs_px: visible lung field in pixels of the input.
        right_mm2, left_mm2, lungs_mm2: the same in square millimetres, where the pixel spacing is known.
        spacing_kind: "patient", "detector" (the shadow at the detector, larger than the patient) or "unknown".
        seconds: from reading to having written everything.
    """

    file: str
    status: str
    reason: str = ""
    right_px: int | None = None
    left_px: int | None = None
    lungs_px: int | None = None
    right_mm2: float | None = None
    left_mm2: float | None = None
    lungs_mm2: float | None = None
    spacing_kind: str = ""
    seconds: float | None = None


def predict(
    inputs: Iterable[str | PathLike],
    output: str | PathLike,
    weights: str | PathLike | None = None,
    device: str = "auto",
    done: Callable[[int, int, Row], None] = lambda index, total, row: None,
) -> list[Row]:
    """Segment files and folders; one bad file does not stop the others.

    Args:
        inputs: see :func:`lungseg.images.find_radiographs`.
        output: folder for `masks/`, `labels/`, `overlays/` and `report.csv`; sub-folders of the inputs are kept.
        weights: see :func:`lungseg.locate.weights_file`.
        device: see :func:`lungseg.predictor.choose_device`.
        done: called after each file with its index from 1, the number of files, and its row.

    Returns:
        The rows of the report, in the order of the inputs.

    Raises:
        UsageError: there is nothing to segment.
        LungsegError: the weights cannot be used, or the output folder cannot be written to.
    """
    output = Path(output)
    if output.exists() and not output.is_dir():
        raise UsageError("this is a file, not a folder", output, "choose another folder for the results")
    found = find_radiographs(inputs, exclude=output).radiographs
    predictor = Predictor(weights=weights, device=device)
    rows: list[Row] = []
    _write_report(output / "report.csv", rows)  # a folder that cannot be written to is told before the work
    try:
        for index, (path, stem) in enumerate(found, 1):
            rows.append(_segment(predictor, path, stem, output))
            done(index, len(found), rows[-1])
    finally:
        _write_report(output / "report.csv", rows)
    return rows


def _segment(predictor: Predictor, path: Path, stem: Path, output: Path) -> Row:
    began = time.perf_counter()
    try:
        prediction = predictor.predict(path)
    except LungsegError as error:
        return Row(file=str(path), status="failed", reason=str(error))
    write_png(output / "labels" / f"{stem}.png", prediction.labels)
    write_png(output / "overlays" / f"{stem}.png", draw_overlay(prediction.radiograph.pixels, prediction.labels))
    write_png(output / "masks" / f"{stem}.png", prediction.mask)
    return Row(
        file=str(path),
        **_judgement(prediction.labels),
        **_areas(prediction),
        spacing_kind=prediction.radiograph.spacing_kind,
        seconds=round(time.perf_counter() - began, 3),
    )


def _judgement(labels: np.ndarray) -> dict[str, str]:
    """Say what is plainly wrong with label map `labels` (H, W)."""
    missing = [name for lung, name in ((1, "right"), (2, "left")) if not (labels == lung).any()]
    if not missing:
        return {"status": "ok"}
    reason = "no lung was found" if len(missing) == 2 else f"no {missing[0]} lung was found"
    return {"status": "flagged", "reason": reason}


def _areas(prediction: Prediction) -> dict[str, int | float]:
    counts = np.bincount(prediction.labels.ravel(), minlength=3)
    pixels = {"right": int(counts[1]), "left": int(counts[2]), "lungs": int(counts[1] + counts[2])}
    areas: dict[str, int | float] = {f"{name}_px": count for name, count in pixels.items()}
    if prediction.radiograph.spacing is not None:
        row, column = prediction.radiograph.spacing
        areas |= {f"{name}_mm2": round(count * row * column, 1) for name, count in pixels.items()}
    return areas


def _write_report(path: Path, rows: list[Row]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Row)])
        table.writeheader()
        table.writerows(asdict(row) for row in rows)
