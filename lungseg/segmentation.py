# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict`: many files in; masks, label maps, overlays and a report out."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from os import PathLike
from pathlib import Path

from lungseg.errors import LungsegError, UsageError, first_line
from lungseg.files import name_is_to_blame, usable_folder
from lungseg.images import find_radiographs
from lungseg.measures import measures
from lungseg.outputs import DEFAULT_KINDS, Outputs
from lungseg.predictor import Predictor
from lungseg.report.predictions import reporting
from lungseg.report.rows import CsvReport, Row
from lungseg.weights import weights_hash

_NAMES_SHOWN = 3


def predict(
    inputs: Iterable[str | PathLike],
    output: str | PathLike,
    weights: str | PathLike | None = None,
    device: str = "auto",
    done: Callable[[int, int, Row], None] = lambda index, total, row: None,
    say: Callable[[str], None] = lambda line: None,
    kinds: Iterable[str] = DEFAULT_KINDS,
) -> list[Row]:
    """Segment files and folders; one bad file does not stop the others.

    Args:
        inputs: see :func:`lungseg.images.find_radiographs`.
        output: folder for a folder of each kind, `report.csv`, `report.json` and `report.html`; sub-folders of the
            inputs are kept.
        weights: see :func:`lungseg.locate.weights_file`.
        device: see :func:`lungseg.predictor.choose_device`.
        done: called after each file with its index from 1, the number of files, and its row.
        say: takes the line that tells which files of the folders were passed over.
        kinds: what to write of each radiograph, see :data:`lungseg.outputs.KINDS`.

    Returns:
        The rows of the report, in the order of the inputs.

    Raises:
        UsageError: there is nothing to segment, or the output folder cannot be written to or is among the inputs.
        LungsegError: the weights cannot be used, or the disk is full: what was finished until then stays.
    """
    output, inputs = Path(output), [Path(path) for path in inputs]
    found = find_radiographs(inputs, exclude=output)
    outputs = Outputs(output, kinds)
    _keep_apart(inputs, found.radiographs, outputs)
    if found.skipped:
        say(_passed_over(found.skipped))
    predictor = Predictor(weights=weights, device=device, keep_probabilities="probabilities" in outputs.kinds)
    report = CsvReport(usable_folder(output) / "report.csv")
    rows: list[Row] = []
    with reporting(output, rows, _facts(predictor, outputs)):
        for index, (path, stem) in enumerate(found.radiographs, 1):
            try:
                rows.append(_segment(predictor, path, stem, outputs))
            except LungsegError as error:
                rows.append(Row(file=str(path), status="failed", reason=str(error)))
                if not name_is_to_blame(error):
                    with suppress(LungsegError):
                        report.add(rows[-1])
                    raise
            report.add(rows[-1])
            done(index, len(found.radiographs), rows[-1])
    return rows


def _facts(predictor: Predictor, outputs: Outputs) -> dict:
    """Return what `report.json` records of the run."""
    return {
        "command": sys.argv,
        "weights": {"file": str(predictor.weights), "sha256": weights_hash(predictor.weights)},
        "device": str(predictor.device),
        "outputs": list(outputs.kinds),
    }


def _keep_apart(inputs: list[Path], radiographs: list[tuple[Path, Path]], outputs: Outputs) -> None:
    """Refuse an output folder in which results would become inputs, or take their place."""
    here = os.path.realpath(outputs.folder)
    inputs_here = [path for path in inputs if path.is_dir() and os.path.realpath(path) == here]
    targets = {os.path.realpath(file) for _, stem in radiographs for file in outputs.targets(stem).values()}
    overwritten = [path for path, _ in radiographs if os.path.realpath(path) in targets]
    if inputs_here or overwritten:
        raise UsageError(
            "the results would lie among the inputs", (inputs_here + overwritten)[0], "choose another folder for them"
        )


def _passed_over(skipped: list[Path]) -> str:
    names = ", ".join(path.name for path in skipped[:_NAMES_SHOWN])
    more = f" and {len(skipped) - _NAMES_SHOWN} more" if len(skipped) > _NAMES_SHOWN else ""
    return f"Passed over, as hidden, linked folders or no pictures: {names}{more}"


def _segment(predictor: Predictor, path: Path, stem: Path, outputs: Outputs) -> Row:
    """Segment one file and write its pictures: all of them, or none.

    Raises:
        LungsegError: a picture cannot be written.
    """
    began = time.perf_counter()
    try:
        prediction = predictor.predict(path)
    except LungsegError as error:
        return Row(file=str(path), status="failed", reason=str(error))
    except Exception as error:  # whatever one picture does to the libraries, the others are still segmented
        what = f"it could not be segmented ({first_line(error)})"
        return Row(file=str(path), status="failed", reason=str(LungsegError(what, path, "report it, with the file")))
    outputs.write(prediction, path, stem)
    return Row(
        file=str(path),
        status="flagged" if prediction.flags else "ok",
        reason="; ".join(prediction.flags.values()),
        name=str(stem),
        **measures(prediction.labels, prediction.radiograph.spacing),
        spacing_kind=prediction.radiograph.spacing_kind,
        quality=prediction.quality,
        flags=" ".join(prediction.flags),
        seconds=round(time.perf_counter() - began, 3),
    )
