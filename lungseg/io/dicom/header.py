# SPDX-License-Identifier: Apache-2.0
"""A DICOM file's attributes, some of which are written by hand."""

from __future__ import annotations

import re

from pydicom import Dataset
from pydicom.sequence import Sequence

from lungseg.io.radiograph import View


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


# A decubitus film (LLD, RLD) is a frontal view of a patient who lies on one side.
_WORDS: dict[str, View] = {
    **dict.fromkeys(("AP", "PA", "FRONTAL", "ANTEROPOSTERIOR", "POSTEROANTERIOR", "LLD", "RLD"), "frontal"),
    **dict.fromkeys(("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT"), "lateral"),
    **dict.fromkeys(("RAO", "LAO", "RPO", "LPO", "RLO", "LLO", "OBL", "OBLIQUE"), "oblique"),
}


# DICOM PS3.16, context group 4010 (DX View), as SNOMED CT and as the older SNOMED RT codes.
_CODES: dict[str, View] = {
    **dict.fromkeys(("399033003", "272479007", "399348003", "R-10202", "R-10214", "R-40888", "R-10206"), "frontal"),
    **dict.fromkeys(("399067008", "399173006", "399198007", "R-102CD", "R-10236", "R-10232"), "lateral"),
}


def view_of(dataset: Dataset) -> View | None:
    """Return the view that the file states, or None: ViewPosition, ViewCodeSequence, then PatientOrientation."""
    code = first_item(dataset, "ViewCodeSequence") or Dataset()
    return (
        _by_words(dataset.get("ViewPosition"))
        or _CODES.get(str(code.get("CodeValue", "")).strip())
        or _by_words(code.get("CodeMeaning"))
        or _by_direction(dataset.get("PatientOrientation"))
    )


def _by_words(text) -> View | None:
    """Understand `LL`, `LATERAL`, `Thorax lat.`, `postero-anterior` or `lateral oblique`."""
    text = str(text or "").upper()
    if "OBLIQ" in text:
        return "oblique"
    views = {_WORDS[word] for word in re.findall(r"[A-Z]+", text.replace("O-", "O")) if word in _WORDS}
    # A lateral decubitus is called by both words, and an oblique view often by a second one.
    if "DECUB" in text:
        return "frontal"
    return next((view for view in ("frontal", "oblique", "lateral") if view in views), None)


def is_flipped(dataset: Dataset) -> bool:
    """Say whether the file states that the picture, turned upright, has the patient's right on its right."""
    return _directions(dataset.get("PatientOrientation")) in (("R", "F"), ("L", "H"), ("F", "L"), ("H", "R"))


def _directions(orientation) -> tuple[str, str]:
    """Return where rows and columns mainly lead to (L, R, A, P, H, F), empty where that is not stated."""
    if not orientation or isinstance(orientation, str) or len(orientation) != 2:
        return "", ""
    # The first letter is the main direction; the next ones tell how oblique it is.
    row, column = (str(direction).strip()[:1] for direction in orientation)
    return row, column


def _by_direction(orientation) -> View | None:
    """Tell from where rows and columns lead to: one to head or feet, the other to a side, or to front or back."""
    row, column = _directions(orientation)
    across = row if column in ("F", "H") else column if row in ("F", "H") else ""
    return {"L": "frontal", "R": "frontal", "A": "lateral", "P": "lateral"}.get(across)
