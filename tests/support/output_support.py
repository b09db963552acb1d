# SPDX-License-Identifier: Apache-2.0
"""Looking at the folder that `lungseg predict` writes."""

from __future__ import annotations

import csv
from pathlib import Path


def statuses(folder: Path) -> dict[str, str]:
    """Return the status of each input, by its name, from `report.csv`."""
    with (folder / "report.csv").open(newline="", encoding="utf-8") as file:
        return {Path(row["file"]).name: row["status"] for row in csv.DictReader(file)}


def leftovers(folder: Path) -> list[Path]:
    """Return temporary files, whose names begin with a dot."""
    return [path for path in folder.rglob(".*") if path.name != ".hidden"]
