# SPDX-License-Identifier: Apache-2.0
"""`report.csv` of `lungseg predict`: a row per input."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from os import PathLike
from typing import Any, get_args, get_type_hints

from lungseg.utils.files import atomic_path
from lungseg.utils.text import protect_cell


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `report.csv`; unknown values are empty. Sides are the patient's. See also `docs/report.md`.

    `pandas.DataFrame(rows)` makes a table of them.

    Attributes:
        file: the input as it was named.
        status: "ok", "flagged" (segmented, but doubted: look at it) or "failed".
        reason: why it was flagged or failed, or a kind of output was not written, in words.
        code: stable, short name of why it failed.
        name: the name of its results: `masks/{name}.png`, and so on.
        image_width, image_height: of the input, in pixels.
        right_px, left_px, lungs_px: visible lung field in pixels of the input, whatever extent was asked for.
        right_mm2, left_mm2, lungs_mm2: the same in square millimetres, where the pixel spacing is known.
        spacing_kind: "patient", "detector" (the shadow at the detector, larger than the patient) or "unknown".
        left_right_ratio: area of the left lung over that of the right one.
        right_x, right_y, right_w, right_h: bounding box of the right lung in pixels, from the upper left corner.
        left_x, left_y, left_w, left_h: bounding box of the left lung.
        crop_x, crop_y, crop_w, crop_h: where `crop/{name}.png` lies in the input; empty if there is no such file.
        crop_margin: the share of the lungs' box that was added to it on each side.
        right_width_px, left_width_px, lungs_width_px: the lung, and both lungs from the outer border of one to that of
            the other, where they are widest, along a row of pixels.
        right_width_mm, left_width_mm, lungs_width_mm: the same in millimetres.
        right_upper_px, … left_lower_px: the six zones, each visible lung in thirds of its own height, in pixels.
        right_upper_mm2, … left_lower_mm2: the same in square millimetres.
        right_upper_mean, … left_lower_mean: mean grey value of each zone, in the units of the file.
        full_right_px, full_left_px, full_lungs_px: lungs with the part behind the heart, in pixels; empty for weights
            that do not know the heart, like the columns below.
        full_right_mm2, full_left_mm2, full_lungs_mm2: the same in square millimetres.
        hidden_share: share of the full lungs that is not visible, 0 to 1.
        heart_px, heart_mm2: the heart.
        ctr: cardiothoracic ratio, see :mod:`lungseg.inference.cardiothoracic`; empty if it is withheld.
        ctr_low, ctr_high: interval that holds nine in ten references.
        ctr_note: "view unknown", or why it is withheld or not reliable.
        quality: estimate of the Dice of the lungs' union, 0 to 1.
        quality_lower: lower bound of the Dice, meant to hold for nine in ten radiographs.
        doubts: short names of the reasons to expect a poor result, separated by blanks.
        notes: short names of facts about the picture, which may be true of a perfect result, separated by blanks.
        seconds: from reading to the end of writing.
    """

    file: str
    status: str
    reason: str = ""
    code: str = ""
    name: str = ""
    image_width: int | None = None
    image_height: int | None = None
    right_px: int | None = None
    left_px: int | None = None
    lungs_px: int | None = None
    right_mm2: float | None = None
    left_mm2: float | None = None
    lungs_mm2: float | None = None
    spacing_kind: str = ""
    left_right_ratio: float | None = None
    right_x: int | None = None
    right_y: int | None = None
    right_w: int | None = None
    right_h: int | None = None
    left_x: int | None = None
    left_y: int | None = None
    left_w: int | None = None
    left_h: int | None = None
    crop_x: int | None = None
    crop_y: int | None = None
    crop_w: int | None = None
    crop_h: int | None = None
    crop_margin: float | None = None
    right_width_px: int | None = None
    left_width_px: int | None = None
    lungs_width_px: int | None = None
    right_width_mm: float | None = None
    left_width_mm: float | None = None
    lungs_width_mm: float | None = None
    right_upper_px: int | None = None
    right_middle_px: int | None = None
    right_lower_px: int | None = None
    left_upper_px: int | None = None
    left_middle_px: int | None = None
    left_lower_px: int | None = None
    right_upper_mm2: float | None = None
    right_middle_mm2: float | None = None
    right_lower_mm2: float | None = None
    left_upper_mm2: float | None = None
    left_middle_mm2: float | None = None
    left_lower_mm2: float | None = None
    right_upper_mean: float | None = None
    right_middle_mean: float | None = None
    right_lower_mean: float | None = None
    left_upper_mean: float | None = None
    left_middle_mean: float | None = None
    left_lower_mean: float | None = None
    full_right_px: int | None = None
    full_left_px: int | None = None
    full_lungs_px: int | None = None
    full_right_mm2: float | None = None
    full_left_mm2: float | None = None
    full_lungs_mm2: float | None = None
    hidden_share: float | None = None
    heart_px: int | None = None
    heart_mm2: float | None = None
    ctr: float | None = None
    ctr_low: float | None = None
    ctr_high: float | None = None
    ctr_note: str = ""
    quality: float | None = None
    quality_lower: float | None = None
    doubts: str = ""
    notes: str = ""
    seconds: float | None = None


COLUMNS = tuple(column.name for column in fields(Row))
# As tuples of types, which are checked faster than their unions.
_TYPES = {name: get_args(kind) or (kind,) for name, kind in get_type_hints(Row).items()}


def row_from(columns: Mapping[str, Any]) -> Row:
    """Return the row of these columns, as they were read from JSON.

    Raises:
        TypeError: there are other columns, or a value is of another type.
    """
    row = Row(**columns)
    if wrong := [name for name, kinds in _TYPES.items() if not isinstance(getattr(row, name), kinds)]:
        raise TypeError(f"columns of another type: {', '.join(wrong)}")
    return row


def as_columns(row: Row) -> dict[str, Any]:
    """Return the values of a row by their columns, in the order of `report.csv`."""
    return {name: getattr(row, name) for name in COLUMNS}


CROP_COLUMNS = ("crop_x", "crop_y", "crop_w", "crop_h", "crop_margin")


def write_csv(path: str | PathLike[str], rows: Iterable[Row]) -> None:
    """Write `report.csv`: a header, and a line for each row. Texts go through :func:`lungseg.utils.text.protect_cell`.

    Raises:
        LungsegError: the file cannot be written.
    """
    with (
        atomic_path(path) as temporary,
        # A file name may hold bytes that are not UTF-8.
        open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(safe_cells(as_columns(row).values()) for row in rows)


def safe_cells(cells: Iterable[Any]) -> list[Any]:
    """Make the texts among the cells of a line harmless in a spreadsheet; numbers stay as they are."""
    return [protect_cell(cell) if isinstance(cell, str) else cell for cell in cells]
