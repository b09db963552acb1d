# SPDX-License-Identifier: Apache-2.0
"""A DICOM file's attributes, some of which are written by hand."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.sequence import Sequence


def numbers(dataset: Dataset, name: str) -> list[float]:
    """Return the values of an attribute; none where it is missing, empty or holds anything but numbers."""
    try:
        values = dataset.get(name)
        if values is None or values == "":
            return []
        return [float(value) for value in ([values] if isinstance(values, float | int | str) else values)]
    except (TypeError, ValueError):
        # What only says how to show or to measure the picture does not make it unreadable.
        return []


def first_number(dataset: Dataset, name: str) -> float | None:
    """Return the first value of an attribute, or None where there is none."""
    return next(iter(numbers(dataset, name)), None)


def first_item(dataset: Dataset, name: str) -> Dataset | None:
    """Return the first item of a sequence, or None where it is missing, empty or no sequence."""
    items = dataset.get(name)
    return items[0] if isinstance(items, Sequence) and items else None
