# SPDX-License-Identifier: Apache-2.0
"""Run lengths in a CSV file, which may be too large for the memory: only the places of its rows are kept."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from lungseg.io.annotations.drawing import MAX_TEXT, Size, draw_pairs
from lungseg.io.annotations.names import Names
from lungseg.io.annotations.structures import check_has_lungs, structure_of
from lungseg.utils.errors import LungsegError

# The largest public data set has 700,000 rows.
_MOST_ROWS = 5_000_000
_IMAGES = (
    "imageid",
    "image",
    "dicomid",
    "imageindex",
    "filename",
    "file",
    "path",
    "imagename",
    "imagepath",
    "id",
    "img",
)
_RUNS = ("encodedpixels", "rle", "maskrle", "rlemask", "segmentation", "mask", "annotation", "pixels", "encodedmask")
_CLASSES = ("class", "classid", "classname", "label", "labelname", "category", "categoryid", "organ", "structure")
_HEIGHTS, _WIDTHS = ("height", "imageheight", "imgheight", "rows"), ("width", "imagewidth", "imgwidth", "columns")
# Image and class in one column, separated by the last underscore.
_BOTH = ("imageidclassid", "imagelabel")


class RunLengthTable:
    """A CSV file with a column for each structure, as CheXmask's, or with one column of run lengths, as Kaggle's."""

    def __init__(self, path: Path, stated: Mapping[str, str]) -> None:
        """Read the header.

        Raises:
            LungsegError: it has no column of run lengths (columns-unknown).
        """
        csv.field_size_limit(MAX_TEXT)
        self._path, self._stated = path, stated
        if not path.is_file():  # a pipe would be waited for
            raise LungsegError("this is not a regular file", path, "copy it to a file first", code="not-regular-file")
        self._file = path.open("rb")
        first = self._file.readline(MAX_TEXT).decode("utf-8-sig", "replace")
        self._delimiter = max(",;\t", key=first.count)
        self._header = next(csv.reader([first], delimiter=self._delimiter), [])
        plain = [re.sub(r"[^a-z]", "", name.lower()) for name in self._header]
        structures = {
            column: found for column, name in enumerate(self._header) if (found := structure_of(name, stated))
        }
        self._runs, self._class, self._both, self._height, self._width = (
            _first(plain, names) for names in (_RUNS, _CLASSES, _BOTH, _HEIGHTS, _WIDTHS)
        )
        self._columns = {} if self._runs is not None and not {"right", "left"} & {*structures.values()} else structures
        image = _first(plain, _IMAGES) if self._both is None else self._both
        self._image = 0 if image is None else image
        if self._columns:
            check_has_lungs(self._columns.values(), self._header, path)
        elif self._runs is None:
            what = "this table has no column of run lengths"
            remedy = 'name them "Right Lung" and "Left Lung", or "EncodedPixels", or give --labels right=NAME,left=NAME'
            raise LungsegError(what, path, remedy, code="columns-unknown")
        self._names: Names[int] = Names()
        self._rows, self._end = 0, self._file.tell()
        self.done = False
        self._classes: dict[str, None] = {}

    def read_on(self, seconds: float) -> bool:
        """Note the places of further rows for so long, and return whether all are noted.

        Raises:
            LungsegError: the file has too many rows or is damaged.
        """
        until = time.monotonic() + seconds
        for place, row in self._read_from(self._end):
            if len(row) > self._image:
                self._names.add(self._image_of(row), place)
                if not self._columns and len(self._classes) < 100:
                    self._classes[self._class_of(row)] = None
            self._rows += 1
            if self._rows > _MOST_ROWS:
                what, remedy = f"the table has more than {_MOST_ROWS} rows", "divide it"
                raise LungsegError(what, self._path, remedy, code="too-many-rows")
            if time.monotonic() > until:
                return False
        if not self._columns and {*self._classes} - {""}:
            classes = [one for one in self._classes if one]
            check_has_lungs([structure_of(one, self._stated) for one in classes], classes, self._path)
        self.done = True
        return True

    def find(self, name: str, alone: bool) -> list[int]:
        """Return the places of an image's rows, see :meth:`Names.find`."""
        return self._names.find(name, alone)

    def size(self, places: Sequence[int]) -> Size | None:
        """Return (height, width) of the image, if the table states it."""
        _, row = next(self._read_from(places[0]))
        if self._height is None or self._width is None:
            return None
        return round(float(row[self._height])), round(float(row[self._width]))

    def masks(self, places: Sequence[int], size: Size) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the structures of an image with their (H, W) bool masks."""
        for place in places:
            _, row = next(self._read_from(place))
            for column, structure in self._columns.items():
                yield structure, draw_pairs(_cell(row, column), size, "rows")
            if not self._columns and self._runs is not None:
                name = self._class_of(row)
                if found := structure_of(name, self._stated) if name else "lung":
                    yield found, draw_pairs(_cell(row, self._runs), size, "columns")

    def _image_of(self, row: Sequence[str]) -> str:
        return row[self._image].rpartition("_")[0] if self._image == self._both else row[self._image]

    def _class_of(self, row: Sequence[str]) -> str:
        if self._image == self._both:
            return row[self._image].rpartition("_")[2].strip()
        return _cell(row, self._class).strip() if self._class is not None else ""

    def _read_from(self, place: int) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows from a place in the file on, each with its own place."""
        self._file.seek(place)
        reader = csv.reader(self._lines(self._file), delimiter=self._delimiter)
        self._end = place
        try:
            for row in reader:
                started, self._end = self._end, self._consumed
                if row:
                    yield started, row
        except csv.Error as error:
            what = f"the table is damaged ({error})"
            raise LungsegError(what, self._path, "copy or export it again", code="damaged") from error

    def _lines(self, file: IO[bytes]) -> Iterator[str]:
        self._consumed = file.tell()
        while line := file.readline(MAX_TEXT):
            self._consumed += len(line)
            yield line.decode("utf-8", "replace")


def _first(header: Sequence[str], names: Sequence[str]) -> int | None:
    """Return the column that has the first of the names that are there."""
    return next((header.index(name) for name in names if name in header), None)


def _cell(row: Sequence[str], column: int) -> str:
    """Return the text of a cell; "nan" is how some programs write an empty one."""
    text = row[column].strip() if column < len(row) else ""
    return "" if text.lower() in ("nan", "none", "null") else text
