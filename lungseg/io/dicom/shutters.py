# SPDX-License-Identifier: Apache-2.0
"""Blacken what a display shutter of a DICOM file hides, as viewers do (DICOM PS3.3, C.7.6.11 and C.7.6.15).

Several shutters leave the part that all of them leave. A shutter that is broken, or that leaves almost nothing of the
picture, is ignored with a note: hiding the lungs is worse than showing the edge of a collimator.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from pydicom import Dataset
from pydicom.tag import Tag

from lungseg.io.dicom.header import numbers
from lungseg.io.limits import MAX_PIXELS, MAX_SIDE

# A smaller share of the picture does not show a chest, not even a newborn's on a large detector.
_LEAST_SHOWN = 0.03
# Filling a polygon takes time in proportion to its vertices.
_MAX_VERTICES, _VERTEX_BYTES = 2000, 2**16
# A coordinate further from the picture was not meant for it.
_FARTHEST = 4 * MAX_SIDE
_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)


class _BrokenShutterError(Exception):
    """A shutter cannot be used; the message is the reason, as a clause."""


def apply_shutters(pixels: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, list[str]]:
    """Make the pixels that the shutters hide as dark as the darkest pixel that they show.

    Black of that kind leaves the range of the grey values as it is. The file's ShutterPresentationValue, which may be
    any grey, is ignored.

    Args:
        pixels: (H, W) brightness; dense tissue is bright.
        dataset: the attributes that describe the shutters.

    Returns:
        The pixels, and for each shutter that was ignored an assumption, as "no circular display shutter (why)".
    """
    shown, notes = None, []
    for name in _shapes(dataset):
        try:
            area = _area(name, pixels.shape, dataset)
            both = area if shown is None else area & shown
            if both.mean() < _LEAST_SHOWN:
                raise _BrokenShutterError("it leaves almost nothing of the picture")
            shown = both
        except _BrokenShutterError as error:
            kind = f"{name.lower()} " if name in _AREAS else ""
            notes.append(f"no {kind}display shutter ({error})")
    if shown is None or shown.all():
        return pixels, notes
    return np.where(shown, pixels, pixels[shown].min()), notes


def _shapes(dataset: Dataset) -> list[str]:
    """Return the shapes that the file states, each once, at most as many as there are kinds."""
    stated = dataset.get("ShutterShape") or ()
    names = [stated] if isinstance(stated, str) else list(stated)[: len(_AREAS)]
    return list(dict.fromkeys(name.strip().upper() for name in map(str, names) if name.strip()))


def _area(name: str, shape: tuple[int, ...], dataset: Dataset) -> np.ndarray:
    """Return the pixels that a shutter shows, (H, W) bool, or raise `_BrokenShutterError`."""
    if name not in _AREAS:
        raise _BrokenShutterError("its shape is unknown")
    return _AREAS[name](shape, dataset)


def _values(dataset: Dataset, name: str, count: int | None = None) -> list[float]:
    """Return the numbers of an attribute of a shutter: `count` numbers, or pairs of numbers."""
    element = dataset.get_item(Tag(name))
    if element is None:
        raise _BrokenShutterError(f"{name} is missing")
    # Values that are not parsed yet are bytes.
    if isinstance(element.value, bytes) and len(element.value) > _VERTEX_BYTES:
        raise _BrokenShutterError(f"{name} has too many values")
    values = numbers(dataset, name)
    if len(values) != count if count else len(values) % 2:
        raise _BrokenShutterError(f"{name} has {len(values)} values")
    if not all(abs(value) <= _FARTHEST for value in values):
        raise _BrokenShutterError(f"{name} lies far outside the picture")
    return values


def _rectangle(shape: tuple[int, ...], dataset: Dataset) -> np.ndarray:
    """Show from edge to edge: rows and columns that are counted from 1, the edges among them."""
    top, bottom, left, right = (
        _values(dataset, f"Shutter{edge}", 1)[0]
        for edge in ("UpperHorizontalEdge", "LowerHorizontalEdge", "LeftVerticalEdge", "RightVerticalEdge")
    )
    rows, columns = np.arange(1, shape[0] + 1), np.arange(1, shape[1] + 1)
    return ((rows >= top) & (rows <= bottom))[:, None] & ((columns >= left) & (columns <= right))


def _circle(shape: tuple[int, ...], dataset: Dataset) -> np.ndarray:
    """Show a circle on the patient; its radius is measured along a row, and pixels need not be square."""
    row, column = _values(dataset, "CenterOfCircularShutter", 2)
    (radius,) = _values(dataset, "RadiusOfCircularShutter", 1)
    if radius <= 0:
        raise _BrokenShutterError("its radius is not positive")
    rows = (np.arange(1, shape[0] + 1) - row) * _row_height(dataset)
    columns = np.arange(1, shape[1] + 1) - column
    return rows[:, None] ** 2 + columns**2 <= radius**2


def _row_height(dataset: Dataset) -> float:
    """Return the distance of rows, in distances of columns."""
    for name in ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing"):
        values = numbers(dataset, name)
        if len(values) == 2 and min(values) > 0:
            return values[0] / values[1]
    return 1.0


def _polygon(shape: tuple[int, ...], dataset: Dataset) -> np.ndarray:
    """Show a polygon, whose last vertex is joined to the first one, with its border."""
    values = _values(dataset, "VerticesOfThePolygonalShutter")
    vertices = [(column - 1, row - 1) for row, column in zip(values[::2], values[1::2], strict=True)]
    if not 3 <= len(set(vertices)) <= len(vertices) <= _MAX_VERTICES:
        raise _BrokenShutterError(f"it is a polygon of {len(set(vertices))} points")
    area = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(area).polygon(vertices, fill=1, outline=1)
    return np.asarray(area)


def _bitmap(shape: tuple[int, ...], dataset: Dataset) -> np.ndarray:
    """Show the pixels whose bit is 0 in the overlay that the file names, which may cover a part of the picture."""
    group = dataset.get("ShutterOverlayGroup")
    if group not in _OVERLAY_GROUPS:
        raise _BrokenShutterError("ShutterOverlayGroup does not name an overlay")
    rows, columns, frames, origin = (_overlay_numbers(dataset, group, element) for element in (0x10, 0x11, 0x15, 0x50))
    if len(rows) != 1 or len(columns) != 1 or not 0 < rows[0] * columns[0] <= MAX_PIXELS or frames not in ([], [1]):
        raise _BrokenShutterError("its overlay is missing or has no possible size")
    hidden = _overlay_bits(dataset, group, int(rows[0]), int(columns[0]))
    top, left = (int(value) - 1 for value in origin) if len(origin) == 2 else (0, 0)
    area = np.ones(shape[:2], dtype=bool)
    inside = area[max(0, top) :, max(0, left) :]
    part = hidden[max(0, -top) :, max(0, -left) :][: inside.shape[0], : inside.shape[1]]
    inside[: part.shape[0], : part.shape[1]] = ~part
    return area


def _overlay_bits(dataset: Dataset, group: int, rows: int, columns: int) -> np.ndarray:
    """Return the bits of an overlay, (rows, columns) bool. pydicom takes big-endian words for little-endian ones."""
    element = dataset.get((group, 0x3000))
    if element is None or not isinstance(element.value, bytes) or 8 * len(element.value) < rows * columns:
        raise _BrokenShutterError("its overlay is cut short")
    octets = np.frombuffer(element.value, np.uint8)
    if element.VR == "OW" and not dataset.file_meta.TransferSyntaxUID.is_little_endian:
        octets = octets[: octets.size // 2 * 2].view(np.uint16).byteswap().view(np.uint8)
    bits = np.unpackbits(octets, count=rows * columns, bitorder="little")
    return bits.reshape(rows, columns).astype(bool)


def _overlay_numbers(dataset: Dataset, group: int, element: int) -> list[int]:
    """Return the numbers of an element of an overlay; none if it is missing or holds anything else."""
    found = dataset.get((group, element))
    value = None if found is None else found.value
    try:
        return [] if value in (None, "") else [int(one) for one in (value if hasattr(value, "__len__") else [value])]
    except (TypeError, ValueError):
        return []


_AREAS: dict[str, Callable[[tuple[int, ...], Dataset], np.ndarray]] = {
    "RECTANGULAR": _rectangle,
    "CIRCULAR": _circle,
    "POLYGONAL": _polygon,
    "BITMAP": _bitmap,
}
