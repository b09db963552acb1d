# SPDX-License-Identifier: Apache-2.0
"""`report.json` of `lungseg predict`: the facts of the run, and the row of each file."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from typing import Any

from lungseg.report.page import PATIENT_DATA
from lungseg.report.table import Row, as_columns
from lungseg.utils.files import atomic_path
from lungseg.version import __version__

# Packages that the results may depend on.
_PACKAGES = ("torch", "monai", "numpy", "scipy", "pillow", "pydicom", "python-gdcm", "highdicom")
STATUSES = ("ok", "flagged", "failed")


def write_manifest(path: str | PathLike[str], rows: Sequence[Row], run: Mapping[str, Any]) -> None:
    """Write `report.json`: the facts of the run, then a line for each file; unknown values are null.

    Args:
        path: the file.
        rows: of all files.
        run: see :func:`lungseg.report.predictions.write_reports`.

    Raises:
        LungsegError: the file cannot be written.
    """
    found = Counter(row.status for row in rows)
    facts = {
        "notice": PATIENT_DATA,
        "lungseg": __version__,
        **run,
        "versions": _versions(),
        "count": {"files": len(rows), **{status: found[status] for status in STATUSES}},
    }
    with atomic_path(path) as temporary, open(temporary, "w", encoding="ascii") as file:
        head = json.dumps(facts, indent=1, allow_nan=False)
        file.write(head.removesuffix("\n}") + ',\n "files": [')
        for number, row in enumerate(rows):
            file.write(",\n  " if number else "\n  ")
            file.write(json.dumps(_typed(row), allow_nan=False))
        file.write("\n ]\n}\n")


def _typed(row: Row) -> dict[str, Any]:
    return as_columns(row) | {"doubts": row.doubts.split(), "notes": row.notes.split()}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
