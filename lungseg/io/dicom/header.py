# SPDX-License-Identifier: Apache-2.0
"""Read attributes of a DICOM header, some of which people typed: numbers, sequences, view, position, mirroring."""

from __future__ import annotations

import re
from typing import Any

from pydicom import Dataset
from pydicom.sequence import Sequence

from lungseg.io.radiograph import Projection, View

# A decubitus film (LLD, RLD) is a frontal view of a patient who lies on one side.
_WORDS: dict[str, View] = {
    **dict.fromkeys(("AP", "PA", "FRONTAL", "ANTEROPOSTERIOR", "POSTEROANTERIOR", "LLD", "RLD"), "frontal"),
    **dict.fromkeys(("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LATEROLATERAL"), "lateral"),
    # French, Italian, Spanish and Portuguese; German; and Dutch.
    **dict.fromkeys(("LATERALE", "LATEROLATERALE", "PROFIL", "PROFILO", "PERFIL"), "lateral"),
    **dict.fromkeys(("SEITLICH", "SEITLICHE", "LATERAAL", "ZIJDELINGS"), "lateral"),
    **dict.fromkeys(("RAO", "LAO", "RPO", "LPO", "RLO", "LLO", "OBL", "OBLIQUE"), "oblique"),
}
# DICOM PS3.16, context group 4010 (DX View), as SNOMED CT and as the older SNOMED RT codes.
_CODES: dict[str, View] = {
    **dict.fromkeys(("399033003", "272479007", "399348003", "R-10202", "R-10214", "R-40888", "R-10206"), "frontal"),
    **dict.fromkeys(("399067008", "399173006", "399198007", "R-102CD", "R-10236", "R-10232"), "lateral"),
}
_PROJECTION_WORDS: dict[str, Projection] = {
    **dict.fromkeys(("PA", "POSTEROANTERIOR"), "PA"),
    # Films at the bedside are taken from the front.
    **dict.fromkeys(("AP", "ANTEROPOSTERIOR", "PORTABLE", "MOBILE", "BEDSIDE"), "AP"),
}
_PROJECTION_CODES: dict[str, Projection] = {
    **dict.fromkeys(("272479007", "R-10214"), "PA"),
    **dict.fromkeys(("399348003", "R-10206"), "AP"),
}
# Where a word ends within a name of a protocol.
_WITHIN = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SUPINE_WORDS = {"SUPINE", "RECUMBENT", "LYING"}
# Positions in a scanner, head or feet first; some devices state them for every film, also for those from behind.
_SUPINE_POSITIONS = ("HFS", "FFS")
# SNOMED CT: recumbent, and its modifier supine; and as the older SNOMED RT codes.
_SUPINE_CODES = {"102538003", "40199007", "F-10310", "F-10340"}
# Where people and devices write how a film was taken, the most specific first.
_DESCRIPTIONS = ("ViewPosition", "SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
_VIEW_CODES = ("ViewCodeSequence", "ProjectionEponymousNameCodeSequence")
# By the direction of the axis that does not lead to head or feet.
_VIEWS: dict[str, View] = {"L": "frontal", "R": "frontal", "A": "lateral", "P": "lateral"}
# If words for several views occur, the first of these is meant: an oblique view often has a second name.
_PRECEDENCE: tuple[View, ...] = ("frontal", "oblique", "lateral")
# Directions of rows and columns where the patient's right is on the right of the upright picture.
_MIRRORED = (("R", "F"), ("L", "H"), ("F", "L"), ("H", "R"))


def numbers(dataset: Dataset, name: str) -> list[float]:
    """Return the values of an attribute; an empty list if it is missing, empty or holds anything but numbers."""
    try:
        values = dataset.get(name)
        if values is None or values == "":
            return []
        return [float(value) for value in ([values] if isinstance(values, float | int | str) else values)]
    except (TypeError, ValueError):
        # An attribute that only describes display or size does not make the picture unreadable.
        return []


def first_number(dataset: Dataset, name: str) -> float | None:
    """Return the first value of an attribute, or None if there is none."""
    return next(iter(numbers(dataset, name)), None)


def first_item(dataset: Dataset, name: str) -> Dataset | None:
    """Return the first item of a sequence, or None if it is missing, empty or not a sequence."""
    items = dataset.get(name)
    return items[0] if isinstance(items, Sequence) and items else None


def view_of(dataset: Dataset) -> View | None:
    """Return the view that the file states in ViewPosition, a code, a description or PatientOrientation, or None.

    The description of a study does not count: it also speaks of other pictures.
    """
    codes = [first_item(dataset, name) or Dataset() for name in _VIEW_CODES]
    coded = (_CODES.get(str(code.get("CodeValue", "")).strip()) or _by_words(code.get("CodeMeaning")) for code in codes)
    return (
        _by_words(dataset.get("ViewPosition"))
        or next(filter(None, coded), None)
        or next(filter(None, (_described_view(dataset.get(name)) for name in _DESCRIPTIONS)), None)
        or _by_direction(dataset.get("PatientOrientation"))
    )


def projection_of(dataset: Dataset) -> Projection | None:
    """Return the way of the rays that the file states in ViewPosition, ViewCodeSequence or a description, or None."""
    code = first_item(dataset, "ViewCodeSequence") or Dataset()
    coded = _PROJECTION_CODES.get(str(code.get("CodeValue", "")).strip())
    stated = [_projection_by_words(dataset.get(name)) for name in _DESCRIPTIONS]
    meant = _projection_by_words(code.get("CodeMeaning"))
    return next((found for found in (stated[0], coded, meant, *stated[1:]) if found), None)


def is_supine(dataset: Dataset) -> bool:
    """Return whether the file states that the patient lay on the back, as a code, a position or in a description."""
    code = first_item(dataset, "PatientOrientationCodeSequence") or Dataset()
    modifier = first_item(code, "PatientOrientationModifierCodeSequence") or Dataset()
    if dataset.get("PatientPosition") in _SUPINE_POSITIONS and projection_of(dataset) != "PA":
        return True
    if _SUPINE_CODES & {str(item.get("CodeValue", "")).strip() for item in (code, modifier)}:
        return True
    return any(_SUPINE_WORDS & set(_words(dataset.get(name))) for name in ("PatientPosition", *_DESCRIPTIONS))


def is_flipped(dataset: Dataset) -> bool:
    """Return whether the file states that the upright picture has the patient's right on its right."""
    return _directions(dataset.get("PatientOrientation")) in _MIRRORED


def _by_words(text: Any) -> View | None:
    """Understand `LL`, `LATERAL`, `Thorax lat.`, `postero-anterior` or `lateral oblique`."""
    views = _views_in(text)
    return next((view for view in _PRECEDENCE if view in views), None)


def _described_view(text: Any) -> View | None:
    """Return the view that is not frontal of a description; None if it names several, as `Chest PA and lateral`."""
    views = _views_in(text)
    return next(iter(views - {"frontal"}), None) if len(views) == 1 else None


def _views_in(text: Any) -> set[View]:
    """Return the views that a text names."""
    capitals = str(text or "").upper()
    if "OBLIQ" in capitals:
        return {"oblique"}
    # A lateral decubitus is described by both words.
    if "DECUB" in capitals:
        return {"frontal"}
    return {_WORDS[word] for word in _words(text) if word in _WORDS}


def _projection_by_words(text: Any) -> Projection | None:
    """Understand `AP`, `CHEST PA`, `postero-anterior` or `Thorax AP mobile`; None where both are named."""
    found = {_PROJECTION_WORDS[word] for word in _words(text) if word in _PROJECTION_WORDS}
    return found.pop() if len(found) == 1 else None


def _words(text: Any) -> list[str]:
    """Return the words of a text in capitals; `postero-anterior` is one word, and `ChestLat` has two."""
    return re.findall(r"[A-Z]+", _WITHIN.sub(" ", str(text or "")).upper().replace("O-", "O"))


def _by_direction(orientation: Any) -> View | None:
    """Derive the view: of rows and columns, one leads to head or feet, the other to a side or to front or back."""
    row, column = _directions(orientation)
    across = row if column in ("F", "H") else column if row in ("F", "H") else ""
    return _VIEWS.get(across)


def _directions(orientation: Any) -> tuple[str, str]:
    """Return the main directions of rows and columns (L, R, A, P, H, F); empty if they are not stated."""
    if not orientation or isinstance(orientation, str) or len(orientation) != 2:
        return "", ""
    # The first letter is the main direction; further letters state how oblique it is.
    row, column = (str(direction).strip()[:1] for direction in orientation)
    return row, column
