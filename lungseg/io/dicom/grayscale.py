# SPDX-License-Identifier: Apache-2.0
"""From the values stored in a DICOM file to the ones a viewer shows (DICOM PS3.3, C.11.1, C.11.2, C.7.6.3).

Written here and not taken from pydicom because its `apply_voi` wraps around where an 8-bit table meets deeper
pixels, and its windowing does without the range that an inversion needs.
"""

from __future__ import annotations

import numpy as np
from pydicom import Dataset

from lungseg.io.dicom.header import first_item, first_number, numbers

# A table or a window that leaves less of the picture than this between black and white was not made for it.
_MIN_SHOWN = 0.4


def display_values(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Apply the modality and VOI transformations and the polarity.

    Args:
        stored: (H, W) integers.
        dataset: the attributes that describe them.

    Returns:
        (H, W) float32, bright where the radiograph is dense.
    """
    stored = _used_bits(stored, dataset)
    padding = _padding(stored, dataset)
    values, low, high = _modality(stored, dataset)
    values, low, high = _values_of_interest(values, low, high, padding, dataset)
    values = values.astype(np.float32, copy=False)
    if is_inverted(dataset):
        values = np.float32(low + high) - values
    # What was added around the picture becomes as dark as the darkest part of it, as around a film.
    return values if padding is None else np.where(padding, values[~padding].min(), values)


def is_inverted(dataset: Dataset) -> bool:
    """Say whether low values are the dense ones; projection images say the same in both attributes."""
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    return dataset.PhotometricInterpretation == "MONOCHROME1" or shape == "INVERSE"


def _used_bits(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return the bits in use: old files keep overlays in those above. From version 3 on, pydicom does the same."""
    unused = 8 * stored.dtype.itemsize - int(dataset.BitsStored)
    return stored << unused >> unused if 0 < unused < 8 * stored.dtype.itemsize else stored


def _padding(stored: np.ndarray, dataset: Dataset) -> np.ndarray | None:
    """Return where (H, W) the picture was filled up to a rectangle, if it was (DICOM PS3.3, C.7.5.1.1.2)."""
    value, limit = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if not isinstance(value, int):
        return None
    if not isinstance(limit, int):
        limit = value
    ends = [_with_its_sign(end, dataset) for end in (value, limit)]
    if None in ends:
        return None
    padding = (stored >= min(ends)) & (stored <= max(ends))
    return padding if padding.any() and not padding.all() else None


def _with_its_sign(value: int, dataset: Dataset) -> int | None:
    """Return a value that may have been read with the wrong sign; None for one that no pixel can have."""
    low, high = _stored_range(dataset)
    allocated = 2 ** int(dataset.BitsAllocated)
    return next((one for one in (value, value - allocated, value + allocated) if low <= one <= high), None)


def _stored_range(dataset: Dataset) -> tuple[int, int]:
    bits = int(dataset.BitsStored)
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dataset.PixelRepresentation else (0, 2**bits - 1)


def _modality(stored: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, float, float]:
    table = _first_table(dataset, "ModalityLUTSequence", signed=bool(dataset.PixelRepresentation))
    if table is not None:
        return _look_up(stored, *table)
    low, high = _stored_range(dataset)
    slope, intercept = first_number(dataset, "RescaleSlope"), first_number(dataset, "RescaleIntercept")
    if slope is None or intercept is None or (slope, intercept) == (1, 0) or not slope:
        return stored, low, high
    values = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    # A negative slope turns the range around.
    return values, *sorted((low * slope + intercept, high * slope + intercept))


def _values_of_interest(
    values: np.ndarray, low: float, high: float, padding: np.ndarray | None, dataset: Dataset
) -> tuple[np.ndarray, float, float]:
    """Apply the table or, of several windows, the one that shows most of the picture: they are alternative views."""
    picture = values if padding is None else values[~padding]
    table = _first_table(dataset, "VOILUTSequence", signed=low < 0)
    if table is not None and _share(picture, table[1] - 1, table[1] + len(table[0])) >= _MIN_SHOWN:
        return _look_up(values, *table)
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    windows = [
        (center - 0.5, width - 1) if function == "LINEAR" else (center, width)
        for center, width in zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth"), strict=False)
    ]
    # A sigmoid goes on over twice its width.
    reach = 1.0 if function == "SIGMOID" else 0.5
    shown = [_share(picture, center - reach * width, center + reach * width) for center, width in windows]
    if max(shown, default=0) < _MIN_SHOWN:
        return values, low, high
    center, width = windows[int(np.argmax(shown))]
    distance = (values.astype(np.float32) - np.float32(center)) / np.float32(width)
    if function == "SIGMOID":
        values = 1 / (1 + np.exp(-4 * distance))
    else:
        values = np.clip(distance, -0.5, 0.5) + np.float32(0.5)
    return values * np.float32(high - low) + np.float32(low), low, high


def _share(picture: np.ndarray, first: float, last: float) -> float:
    """Return how much of the picture lies between two values."""
    return float(np.mean((picture > first) & (picture < last)))


def _first_table(dataset: Dataset, sequence: str, signed: bool) -> tuple[np.ndarray, int, int] | None:
    """Return the first table of a sequence: its entries, the value of the first one, bits per entry.

    None where its description is incomplete, or it has fewer entries than it announces.

    Args:
        signed: whether what is looked up may be negative, so that the value of the first entry may be, too.
    """
    item = first_item(dataset, sequence)
    descriptor = [] if item is None else numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        return None
    count, first, bits = map(int, descriptor)
    # None of 65536 can be told in the 16 bits of the descriptor.
    count = count or 2**16
    if signed and first >= 2**15:
        first -= 2**16
    data = item.get("LUTData")
    if isinstance(data, bytes):
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        # Eight-bit entries may be packed two to a word.
        packed = len(data) < 2 * count and bits <= 8
        entries = np.frombuffer(data[: len(data) // 2 * 2], "u1" if packed else f"{order}u2")
    else:
        entries = np.asarray(numbers(item, "LUTData"), dtype=np.int64)
    return (entries[:count], first, bits) if len(entries) >= count else None


def _look_up(values: np.ndarray, entries: np.ndarray, first: int, bits: int) -> tuple[np.ndarray, float, float]:
    """Values beyond the table take its first or last entry."""
    index = np.clip(np.rint(values).astype(np.int64) - first, 0, len(entries) - 1)
    return entries[index], 0, 2**bits - 1
