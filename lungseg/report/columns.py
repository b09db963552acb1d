# SPDX-License-Identifier: Apache-2.0
"""Rows of texts as a table, for the terminal and for a file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from os import PathLike

from lungseg.report.table import safe_cells
from lungseg.utils.files import atomic_path
from lungseg.utils.text import escape_control


def format_columns(rows: Sequence[Sequence[str]], text_columns: Sequence[int] = (0,)) -> str:
    """Write rows under each other, with two blanks between columns; columns of numbers end at the right."""
    cells = [[escape_control(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]

    def line(row: list[str]) -> str:
        padded = [
            cell.ljust(width) if place in text_columns else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    return "\n".join(map(line, cells)) + "\n"


def write_csv(path: str | PathLike[str], header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file, whole or not at all; texts that a spreadsheet would run are made harmless."""
    with (
        atomic_path(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(safe_cells(header))
        writer.writerows(safe_cells(row) for row in rows)
