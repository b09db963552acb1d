# SPDX-License-Identifier: Apache-2.0
"""The finished cases of an evaluation, from which a stopped one goes on.

An evaluation's folder holds `cases.jsonl`, a line of JSON for each finished case (see :class:`MeasuredCase`),
`labels/NAME.png`, the predicted label map, and `pictures/NAME.jpg`, the radiograph without drawing, at most 768 pixels.
A line is appended when its files are there. A finished evaluation has the lines and files of its own cases alone.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from lungseg.io.content import content_hash
from lungseg.metrics.agreement import METRICS
from lungseg.report.evaluation import picture_file
from lungseg.utils.files import atomic_path, writing_failed

CASES = "cases.jsonl"


@dataclass(frozen=True)
class MeasuredCase:
    """A finished case.

    Attributes:
        name: of the case.
        inputs: SHA-256 of what was measured: the contents of image and references, and what they show.
        settings: SHA-256 of everything else that the figures depend on: network, transforms, version.
        labels: SHA-256 of its file in `labels`.
        row: its line of `cases.csv`: `name`, `set`, `extent`, `file`, `note`, and the figures; NaN is null on disk.
        picture: the outlines of `prediction` and `reference`, see :class:`lungseg.report.outlines.Drawing`.
    """

    name: str
    inputs: str
    settings: str
    labels: str
    row: dict[str, Any]
    picture: dict[str, Any]


def labels_file(folder: str | PathLike[str], name: str) -> Path:
    """Return the file of a case's predicted label map: (H, W) uint8, 0 background, 1 right lung, 2 left lung."""
    return Path(folder, "labels", f"{name}.png")


def read_cases(folder: str | PathLike[str]) -> dict[str, MeasuredCase]:
    """Return name -> finished case of an evaluation's folder; the last line about a case counts.

    A line that is not whole, such as a power cut leaves, or that another version wrote, is passed over.
    """
    path = Path(folder, CASES)
    cases: dict[str, MeasuredCase] = {}
    if not path.is_file():
        return cases
    with path.open("rb") as lines:
        for line in lines:
            with suppress(ValueError, TypeError, AttributeError, RecursionError):
                case = _restored(MeasuredCase(**json.loads(line)))
                cases[case.name] = case
    return cases


def append_case(folder: str | PathLike[str], case: MeasuredCase) -> None:
    """Add a line to `cases.jsonl`; several processes may do so at a time.

    Raises:
        LungsegError: it cannot be written, for instance because the disk is full.
    """
    path = Path(folder, CASES)
    try:
        with path.open("ab+") as file:
            text = _line(case)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    text = b"\n" + text
            file.write(text)
    except OSError as error:
        raise writing_failed(error, path) from error


def keep_only(folder: str | PathLike[str], cases: Sequence[MeasuredCase]) -> None:
    """Leave the lines and files of these cases alone, and remove those of an earlier evaluation of other cases.

    Raises:
        LungsegError: the lines cannot be written.
    """
    others = read_cases(folder).keys() - {case.name for case in cases}
    with atomic_path(Path(folder, CASES)) as path:
        path.write_bytes(b"".join(map(_line, sorted(cases, key=lambda case: case.name))))
    for name in others:
        for file in (labels_file(folder, name), picture_file(folder, name)):
            file.unlink(missing_ok=True)


def inputs_hash(case: Mapping[str, Any]) -> str:
    """Return the SHA-256 over everything that a case, as :func:`lungseg.data.datalist` returns it, is measured on.

    The result is "" where a file cannot be read.
    """
    label = case["label"]
    files = [case["image"], *([label] if isinstance(label, str | Path) else label)]
    files += [case["heart"]] if case.get("heart") else []
    contents = [content_hash(file) for file in files]
    if None in contents:
        return ""
    facts = [contents, bool(case.get("heart")), case.get("extent"), case.get("labels")]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def files_hold(folder: str | PathLike[str], case: MeasuredCase) -> bool:
    """Return whether the files of a finished case are there as they were written."""
    return picture_file(folder, case.name).is_file() and content_hash(labels_file(folder, case.name)) == case.labels


def split_finished(
    folder: str | PathLike[str], cases: Iterable[Mapping[str, Any]], settings: str
) -> tuple[dict[str, MeasuredCase], int]:
    """Return the finished ones among the cases, and the number of those that have to be measured again.

    Args:
        folder: of the evaluation.
        cases: as :func:`lungseg.data.datalist` returns them.
        settings: SHA-256 of everything else that the figures depend on.

    Returns:
        Name -> finished case, whose row has the set and the file that the case has now; and the number of cases that
        were measured on other content, with other settings, or whose files are not as they were written.
    """
    known, kept, stale = read_cases(folder), {}, 0
    for case in cases:
        found = known.get(case["name"])
        if found is None:
            continue
        if found.settings == settings and found.inputs == inputs_hash(case) != "" and files_hold(folder, found):
            facts = {"set": case["set"], "file": str(case["image"])}
            kept[found.name] = MeasuredCase(**vars(found) | {"row": found.row | facts})
        else:
            stale += 1
    return kept, stale


def _line(case: MeasuredCase) -> bytes:
    row = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in case.row.items()}
    return json.dumps(asdict(case) | {"row": row}, allow_nan=False).encode() + b"\n"


def _restored(case: MeasuredCase) -> MeasuredCase:
    """Return the case with NaN for null, as figures have it.

    Raises:
        TypeError: a value has another type.
    """
    for key, kind in MeasuredCase.__annotations__.items():
        if not isinstance(getattr(case, key), str if kind == "str" else dict):
            raise TypeError(key)
    row = {key: math.nan if value is None and key in METRICS else value for key, value in case.row.items()}
    return MeasuredCase(**vars(case) | {"row": row})
