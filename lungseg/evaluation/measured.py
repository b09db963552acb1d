# SPDX-License-Identifier: Apache-2.0
"""The things that can be compared: evaluations, cross-validations, runs and weights."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from lungseg.evaluation.evaluate import evaluate
from lungseg.evaluation.folds import PLAN
from lungseg.evaluation.results import is_evaluation, read_cases, read_summary
from lungseg.model.paths import weights_file
from lungseg.model.weights import load_weights, weights_hash
from lungseg.report.evaluation import picture_file
from lungseg.training.provenance import trained_on
from lungseg.utils.errors import LungsegError, UsageError

_NAMED = ("shipped", "open")
# Names that many folders and files have: the folder above says which one it is.
_COMMON = ("evaluation", "model.pt")

Kind = Literal["evaluation", "weights"]


@dataclass(frozen=True)
class Measured:
    """A thing to compare, with its figures.

    Attributes:
        name: short, and unlike the names of the others.
        rows: case -> row, see :func:`lungseg.evaluation.results.read_cases`.
        pictures: case -> the file of its radiograph, without drawing.
        weights: file name and SHA-256 of the weights; None where there are several, or where they are not known.
        seen: cases among them that the weights were trained on.
        warnings: sentences of its evaluations, where it is not known which cases the weights were trained on.
    """

    name: str
    rows: dict[str, dict[str, Any]]
    pictures: dict[str, Path]
    weights: dict[str, str] | None
    seen: list[str]
    warnings: list[str]


def measure_all(
    choices: Sequence[str | PathLike[str]],
    output: Path,
    split: str,
    overrides: Mapping[str, Any],
    trust: bool = False,
    device: str = "auto",
    on_case: Callable[[int, int], None] | None = None,
) -> list[Measured]:
    """Read the evaluations among the choices, and measure runs and weights, or go on where that was stopped.

    Args:
        choices: folders of evaluations, cross-validations or runs; weights, see
            :func:`lungseg.model.paths.weights_file`.
        output: folder for `evaluations/NAME`.
        split, overrides, trust, device, on_case: see :func:`lungseg.evaluation.evaluate.evaluate`.

    Raises:
        UsageError: there are fewer than two choices, one is given twice or is nothing that can be compared, or runs or
            weights have no data to be measured on.
        LungsegError: an evaluation cannot be read, or a measurement fails.
    """
    if len(choices) < 2:
        what = "there is nothing to compare with"
        raise UsageError(what, remedy="name two evaluations, runs or weights, or more", code="nothing-to-compare")
    kinds = [kind_of(choice) for choice in choices]
    names = short_names(choices)
    to_measure = [name for name, kind in zip(names, kinds, strict=True) if kind == "weights"]
    if to_measure and not {"dataset_dir", "data_source#images", "data_source#sources"} & set(overrides):
        what = f"{to_measure[0]} has to be measured first, and no data set was named"
        raise UsageError(what, remedy="give --data DIR, or the folder of its evaluation", code="data-not-named")
    for choice, kind in zip(choices, kinds, strict=True):
        if kind == "weights":
            # All are tested before the first one is measured.
            load_weights(weights_file(choice))
    measured = []
    for name, choice, kind in zip(names, choices, kinds, strict=True):
        if kind == "evaluation":
            measured.append(_read(name, Path(choice)))
            continue
        folder = output / "evaluations" / re.sub(r"[^\w.-]+", "_", name)
        evaluate(folder, split, choice, overrides, trust, device=device, on_case=on_case)
        measured.append(_read(name, folder, weights_file(choice)))
    return measured


def kind_of(choice: str | PathLike[str]) -> Kind:
    """Return whether a choice is an evaluation, or a run or weights that have to be measured.

    Raises:
        UsageError: it is neither (not-comparable).
    """
    if choice in _NAMED or os.path.isfile(choice):
        return "weights"
    if is_evaluation(choice):
        return "evaluation"
    if (Path(choice) / "model.pt").is_file():
        return "weights"
    what = "this is not an evaluation, a finished run or weights"
    remedy = "name the folder of an evaluation or of a run, a .pt file, shipped or open"
    raise UsageError(what, choice, remedy, code="not-comparable")


def short_names(choices: Sequence[str | PathLike[str]]) -> list[str]:
    """Return a short name for each choice: the last part of its path, and more of it where two would be the same.

    Raises:
        UsageError: a choice is given twice (same-twice).
    """
    places = [str(choice) if choice in _NAMED else os.path.realpath(choice) for choice in choices]
    if twice := [place for place in places if places.count(place) > 1]:
        raise UsageError("this is given twice", twice[0], "name different things to compare", code="same-twice")
    parts = [_parts(place) for place in places]
    lengths = [1] * len(parts)
    while True:
        names = ["/".join(part[-length:]) for part, length in zip(parts, lengths, strict=True)]
        longer = [
            number
            for number, name in enumerate(names)
            if names.count(name) > 1 and lengths[number] < len(parts[number])
        ]
        if not longer:
            return [name if names.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(names, 1)]
        for number in longer:
            lengths[number] += 1


def _parts(place: str) -> list[str]:
    """Return the parts of a path that may be shown, without its root and a last part that says nothing."""
    if place in _NAMED:
        return [place]
    parts = [part for part in Path(place).parts if part != os.sep]
    if len(parts) > 1 and parts[-1] in _COMMON:
        parts.pop()
    elif parts[-1].endswith(".pt"):
        parts[-1] = parts[-1].removesuffix(".pt")
    return parts


def _read(name: str, folder: Path, weights: Path | None = None) -> Measured:
    """Read an evaluation, or those of a cross-validation's folds.

    Args:
        name: the name to show.
        folder: the folder.
        weights: that were measured, if that is known.
    """
    folders = [folder]
    if (folder / PLAN).is_file():
        folders = sorted(file.parent for file in folder.glob("fold-*/evaluation/cases.csv"))
    rows: dict[str, dict[str, Any]] = {}
    pictures: dict[str, Path] = {}
    seen: set[str] = set()
    warnings = []
    for one in folders:
        found = {row["name"]: row for row in read_cases(one)}
        rows |= found
        pictures |= {case: file for case in found if (file := picture_file(one, case)).is_file()}
        summary = read_summary(one)
        known = weights or _find_weights(one, summary)
        if known is not None:
            seen.update(trained_on(known, found))
        elif summary.get("warning"):
            warnings.append(f"{name}: {summary['warning']}")
    if not rows:
        raise LungsegError("no fold was measured yet", folder, "let lungseg kfold end", code="evaluation-unreadable")
    measured = read_summary(folders[0]).get("weights") if len(folders) == 1 else None
    return Measured(name, rows, pictures, measured, sorted(seen), warnings)


def _find_weights(folder: Path, summary: dict[str, Any]) -> Path | None:
    """Return the weights that an evaluation measured: those of the run that it lies in, or shipped ones."""
    wanted = (summary.get("weights") or {}).get("sha256")
    for file in (folder.parent / "model.pt", weights_file("shipped"), weights_file("open")):
        if wanted is not None and file.is_file() and weights_hash(file) == wanted:
            return file
    return None
