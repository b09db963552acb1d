# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict`: many files in; masks, label maps, overlays and a report out."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from os import PathLike
from pathlib import Path

import numpy as np

from lungseg.errors import LungsegError, UsageError, first_line
from lungseg.files import atomic_path, name_is_to_blame, usable_folder, writing_failed
from lungseg.images import draw_overlay, find_radiographs, write_png
from lungseg.predictor import Prediction, Predictor

_KINDS = ("labels", "overlays", "masks")
_NAMES_SHOWN = 3


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
    say: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Segment files and folders; one bad file does not stop the others.

    Args:
        inputs: see :func:`lungseg.images.find_radiographs`.
        output: folder for `masks/`, `labels/`, `overlays/` and `report.csv`; sub-folders of the inputs are kept.
        weights: see :func:`lungseg.locate.weights_file`.
        device: see :func:`lungseg.predictor.choose_device`.
        done: called after each file with its index from 1, the number of files, and its row.
        say: takes the line that tells which files of the folders were passed over.

    Returns:
        The rows of the report, in the order of the inputs.

    Raises:
        UsageError: there is nothing to segment, or the output folder cannot be written to or is among the inputs.
        LungsegError: the weights cannot be used, or the disk is full: what was finished until then stays.
    """
    output, inputs = Path(output), [Path(path) for path in inputs]
    found = find_radiographs(inputs, exclude=output)
    _keep_apart(inputs, found.radiographs, output)
    if found.skipped:
        say(_passed_over(found.skipped))
    predictor = Predictor(weights=weights, device=device)
    report = _Report(usable_folder(output) / "report.csv")
    rows: list[Row] = []
    for index, (path, stem) in enumerate(found.radiographs, 1):
        try:
            rows.append(_segment(predictor, path, stem, output))
        except LungsegError as error:
            rows.append(Row(file=str(path), status="failed", reason=str(error)))
            if not name_is_to_blame(error):
                with suppress(LungsegError):
                    report.add(rows[-1])
                raise
        report.add(rows[-1])
        done(index, len(found.radiographs), rows[-1])
    return rows


def _keep_apart(inputs: list[Path], radiographs: list[tuple[Path, Path]], output: Path) -> None:
    """Refuse an output folder in which results would become inputs, or take their place."""
    here = os.path.realpath(output)
    inputs_here = [path for path in inputs if path.is_dir() and os.path.realpath(path) == here]
    targets = {os.path.realpath(_target(output, kind, stem)) for _, stem in radiographs for kind in _KINDS}
    overwritten = [path for path, _ in radiographs if os.path.realpath(path) in targets]
    if inputs_here or overwritten:
        raise UsageError(
            "the results would lie among the inputs", (inputs_here + overwritten)[0], "choose another folder for them"
        )


def _passed_over(skipped: list[Path]) -> str:
    names = ", ".join(path.name for path in skipped[:_NAMES_SHOWN])
    more = f" and {len(skipped) - _NAMES_SHOWN} more" if len(skipped) > _NAMES_SHOWN else ""
    return f"Passed over, as hidden, linked folders or no pictures: {names}{more}"


def _target(output: Path, kind: str, stem: Path) -> Path:
    return output / kind / f"{stem}.png"


def _segment(predictor: Predictor, path: Path, stem: Path, output: Path) -> Row:
    """Segment one file and write its pictures: all of them, or none.

    Raises:
        LungsegError: a picture cannot be written.
    """
    began = time.perf_counter()
    try:
        prediction = predictor.predict(path)
        overlay = draw_overlay(prediction.radiograph.pixels, prediction.labels)
    except LungsegError as error:
        return Row(file=str(path), status="failed", reason=str(error))
    except Exception as error:  # whatever one picture does to the libraries, the others are still segmented
        what = f"it could not be segmented ({first_line(error)})"
        return Row(file=str(path), status="failed", reason=str(LungsegError(what, path, "report it, with the file")))
    written = []
    try:
        for kind, picture in zip(_KINDS, (prediction.labels, overlay, prediction.mask), strict=True):
            write_png(_target(output, kind, stem), picture)
            written.append(_target(output, kind, stem))
    except BaseException:  # Ctrl-C among them
        for file in written:
            file.unlink(missing_ok=True)
        raise
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
    # bincount would first make eight bytes of each pixel.
    right, left = (int(np.count_nonzero(prediction.labels == lung)) for lung in (1, 2))
    pixels = {"right": right, "left": left, "lungs": right + left}
    areas: dict[str, int | float] = {f"{name}_px": count for name, count in pixels.items()}
    if prediction.radiograph.spacing is not None:
        row, column = prediction.radiograph.spacing
        areas |= {f"{name}_mm2": round(count * row * column, 1) for name, count in pixels.items()}
    return areas


class _Report:
    """`report.csv`, which grows a row at a time: whatever ends the work, what was done is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with atomic_path(path) as temporary:
            temporary.write_text(_csv_line(field.name for field in fields(Row)), encoding="utf-8")

    def add(self, row: Row) -> None:
        """Append a row, whole or not at all."""
        size = self.path.stat().st_size
        try:
            # A file name may hold bytes that are no UTF-8.
            with self.path.open("a", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.write(_csv_line(astuple(row)))
        except OSError as error:
            os.truncate(self.path, size)
            raise writing_failed(error, self.path) from error


def _csv_line(cells: Iterable) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
