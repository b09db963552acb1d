# SPDX-License-Identifier: Apache-2.0
"""Convert the stored values of a DICOM file to the values that a viewer shows: modality LUT, VOI LUT and polarity.

See DICOM PS3.3, C.11.1, C.11.2 and C.7.6.3. pydicom is not used for this because its `apply_voi` wraps around when an
8-bit table meets deeper pixels, and its windowing does not return the range that an inversion needs.
"""

from __future__ import annotations

import numpy as np
from pydicom import Dataset

from lungseg.io.dicom.header import first_item, first_number, numbers
from lungseg.io.limits import MAX_WINDOWS

# A table or a window that shows a smaller share of the picture between black and white was not made for it.
_MIN_SHOWN = 0.4


def display_values(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Apply the modality and VOI transformations and the polarity.

    Args:
        stored: (H, W) integers.
        dataset: the attributes that describe them.

    Returns:
        (H, W) float32; dense tissue is bright.
    """
    stored = _used_bits(stored, dataset)
    padding = _padding(stored, dataset)
    values, low, high = _modality(stored, dataset)
    values, low, high = _values_of_interest(values, low, high, padding, dataset)
    # An array of its own, which can be changed: the stored values are integers.
    values = values.astype(np.float32, copy=False)
    if is_inverted(dataset):
        np.subtract(np.float32(low + high), values, out=values)
    if padding is not None:
        # It becomes as dark as the darkest part of the picture, like the surroundings of a film.
        values[padding] = np.min(values, where=~padding, initial=np.inf)
    return values


def is_inverted(dataset: Dataset) -> bool:
    """Return whether low values are dense. Both attributes of a projection image state the same."""
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    return dataset.PhotometricInterpretation == "MONOCHROME1" or shape == "INVERSE"


def _used_bits(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return the used bits only: old files store overlays in the bits above them. pydicom 3 does the same."""
    unused = 8 * stored.dtype.itemsize - int(dataset.BitsStored)
    low, high = _stored_range(dataset)
    if not 0 < unused < 8 * stored.dtype.itemsize or low <= stored.min() <= stored.max() <= high:
        return stored
    return stored << unused >> unused


def _padding(stored: np.ndarray, dataset: Dataset) -> np.ndarray | None:
    """Return the mask (H, W) of pixels that fill the picture up to a rectangle, or None (DICOM PS3.3, C.7.5.1.1.2)."""
    value, limit = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if not isinstance(value, int):
        return None
    if not isinstance(limit, int):
        limit = value
    first, last = _with_its_sign(value, dataset), _with_its_sign(limit, dataset)
    if first is None or last is None:
        return None
    padding = (stored >= min(first, last)) & (stored <= max(first, last))
    return padding if padding.any() and not padding.all() else None


def _with_its_sign(value: int, dataset: Dataset) -> int | None:
    """Correct a value that may have been read with the wrong sign; None for a value that no pixel can have."""
    low, high = _stored_range(dataset)
    allocated = 2 ** int(dataset.BitsAllocated)
    return next((one for one in (value, value - allocated, value + allocated) if low <= one <= high), None)


def _stored_range(dataset: Dataset) -> tuple[int, int]:
    """Return the lowest and the highest value that the used bits can hold."""
    bits = int(dataset.BitsStored)
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dataset.PixelRepresentation else (0, 2**bits - 1)


def _modality(stored: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, float, float]:
    """Apply the modality table or the rescaling; return the values and the ends of their range."""
    table = _first_table(dataset, "ModalityLUTSequence", signed=bool(dataset.PixelRepresentation))
    if table is not None:
        return _look_up(stored, *table)
    low, high = _stored_range(dataset)
    slope, intercept = first_number(dataset, "RescaleSlope"), first_number(dataset, "RescaleIntercept")
    if slope is None or intercept is None or (slope, intercept) == (1, 0) or not slope:
        return stored, low, high
    values = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    # A negative slope reverses the range.
    ends = (low * slope + intercept, high * slope + intercept)
    return values, min(ends), max(ends)


def _values_of_interest(
    values: np.ndarray, low: float, high: float, padding: np.ndarray | None, dataset: Dataset
) -> tuple[np.ndarray, float, float]:
    """Apply the VOI table, or the window that shows most of the picture: several windows are alternative views."""
    picture = values if padding is None else values[~padding]
    table = _first_table(dataset, "VOILUTSequence", signed=low < 0)
    if table is not None and _share(picture, table[1] - 1, table[1] + len(table[0])) >= _MIN_SHOWN:
        return _look_up(values, *table)
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    centers, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    windows = [
        (center - 0.5, width - 1) if function == "LINEAR" else (center, width)
        for center, width in list(zip(centers, widths, strict=False))[:MAX_WINDOWS]
    ]
    # A sigmoid extends over twice its width.
    reach = 1.0 if function == "SIGMOID" else 0.5
    shown = [_share(picture, center - reach * width, center + reach * width) for center, width in windows]
    if max(shown, default=0) < _MIN_SHOWN:
        return values, low, high
    center, width = windows[int(np.argmax(shown))]
    # In one array: a large radiograph has a hundred megabytes.
    windowed = values.astype(np.float32)
    windowed -= np.float32(center)
    windowed /= np.float32(width)
    if function == "SIGMOID":
        windowed *= np.float32(-4)
        np.exp(windowed, out=windowed)
        windowed += np.float32(1)
        np.divide(np.float32(1), windowed, out=windowed)
    else:
        np.clip(windowed, -0.5, 0.5, out=windowed)
        windowed += np.float32(0.5)
    windowed *= np.float32(high - low)
    windowed += np.float32(low)
    return windowed, low, high


def _share(picture: np.ndarray, first: float, last: float) -> float:
    """Return the share of the picture between two values."""
    return float(np.mean((picture > first) & (picture < last)))


def _first_table(dataset: Dataset, sequence: str, signed: bool) -> tuple[np.ndarray, int, int] | None:
    """Return the first table of a sequence: its entries, the value of the first one, and the bits per entry.

    Return None if its description is incomplete or it has fewer entries than it states.

    Args:
        dataset: the dataset of the sequence.
        sequence: name of the sequence.
        signed: whether the values to look up, and so the value of the first entry, may be negative.
    """
    item = first_item(dataset, sequence)
    if item is None:
        return None
    descriptor = numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        return None
    count, first, bits = map(int, descriptor)
    # A count of 65536 does not fit into the 16 bits of the descriptor and is stored as 0.
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
    """Look up values; those outside the table take its first or last entry. Return the range of the entries, too."""
    index = np.clip(np.rint(values).astype(np.int64) - first, 0, len(entries) - 1)
    return entries[index], 0, 2**bits - 1
