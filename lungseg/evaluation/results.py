# SPDX-License-Identifier: Apache-2.0
"""Read the folder of an evaluation again."""

from __future__ import annotations

import csv
import json
import math
from os import PathLike
from pathlib import Path
from typing import Any

from lungseg.evaluation import records
from lungseg.metrics.agreement import METRICS
from lungseg.utils.errors import LungsegError, first_line
from lungseg.utils.text import restore_cell

CASES, SUMMARY = "cases.csv", "summary.json"


def is_evaluation(folder: str | PathLike[str]) -> bool:
    """Return whether a folder holds a finished evaluation."""
    return (Path(folder) / CASES).is_file()


def read_cases(folder: str | PathLike[str]) -> list[dict[str, Any]]:
    """Return a row for each case of a finished evaluation, as `lungseg.metrics.summarise` takes them.

    A row also has `inputs`, the SHA-256 of what was measured, and `picture`, the outlines; see
    :class:`lungseg.evaluation.records.MeasuredCase`. Evaluations of earlier versions know neither.

    Raises:
        LungsegError: the folder holds no evaluation, or its table is damaged (evaluation-unreadable).
    """
    file = Path(folder) / CASES
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            rows = [_row(line) for line in csv.DictReader(opened)]
    except (OSError, KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        what = f"this is not the table of an evaluation ({first_line(error)})"
        raise LungsegError(what, file, "evaluate again", code="evaluation-unreadable") from error
    if not rows:
        raise LungsegError("the evaluation has no case", file, "evaluate again", code="evaluation-unreadable")
    # The table is rounded.
    known = records.read_cases(folder)
    return [
        row
        if (case := known.get(row["name"])) is None
        else {**case.row, "inputs": case.inputs, "picture": case.picture}
        for row in rows
    ]


def read_summary(folder: str | PathLike[str]) -> dict[str, Any]:
    """Return the content of an evaluation's `summary.json`; empty if it is missing.

    Raises:
        LungsegError: it is damaged (evaluation-unreadable).
    """
    file = Path(folder) / SUMMARY
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        what = f"this is not the summary of an evaluation ({first_line(error)})"
        raise LungsegError(what, file, "evaluate again", code="evaluation-unreadable") from error
    return content if isinstance(content, dict) else {}


def _row(line: dict[str, str]) -> dict[str, Any]:
    texts = {key: restore_cell(line.get(key) or "") for key in ("set", "extent", "file", "note")}
    figures = {key: float(line[key]) if line[key] else math.nan for key in METRICS if key in line}
    return {"name": restore_cell(line["name"]), **texts, "extent": texts["extent"] or "visible", **figures}
