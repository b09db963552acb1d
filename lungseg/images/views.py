# SPDX-License-Identifier: Apache-2.0
"""From which side the patient was seen, as far as a DICOM file says."""

from __future__ import annotations

import re

from pydicom import Dataset

from lungseg.images.radiograph import View

# A decubitus film (LLD, RLD) is a frontal view of a patient who lies on one side.
_WORDS: dict[str, View] = {
    **dict.fromkeys(("AP", "PA", "FRONTAL", "ANTEROPOSTERIOR", "POSTEROANTERIOR", "LLD", "RLD"), "frontal"),
    **dict.fromkeys(("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT"), "lateral"),
}
# DICOM PS3.16, context group 4010 (DX View), as SNOMED CT and as the older SNOMED RT codes.
_CODES: dict[str, View] = {
    **dict.fromkeys(("399033003", "272479007", "399348003", "R-10202", "R-10214", "R-40888", "R-10206"), "frontal"),
    **dict.fromkeys(("399067008", "399173006", "399198007", "R-102CD", "R-10236", "R-10232"), "lateral"),
}


def view_of(dataset: Dataset) -> View | None:
    """Return the view that the file states, or None: ViewPosition, ViewCodeSequence, then PatientOrientation.

    Oblique views are neither frontal nor lateral.
    """
    codes = dataset.get("ViewCodeSequence") or [Dataset()]
    return (
        _by_words(dataset.get("ViewPosition"))
        or _CODES.get(str(codes[0].get("CodeValue", "")).strip())
        or _by_words(codes[0].get("CodeMeaning"))
        or _by_direction(dataset.get("PatientOrientation"))
    )


def _by_words(text) -> View | None:
    """Understand `LL`, `LATERAL`, `Thorax lat.` or `postero-anterior`, and leave obliques alone."""
    text = str(text or "").upper()
    if "OBLIQ" in text:
        return None
    views = {_WORDS[word] for word in re.findall(r"[A-Z]+", text.replace("O-", "O")) if word in _WORDS}
    # A lateral decubitus is called by both words.
    return "frontal" if "frontal" in views or "DECUB" in text else next(iter(views), None)


def _by_direction(orientation) -> View | None:
    """Tell from where rows and columns lead to: one to head or feet, the other to a side, or to front or back."""
    if not orientation or isinstance(orientation, str) or len(orientation) != 2:
        return None
    # The first letter is the main direction; the next ones tell how oblique it is.
    row, column = (str(direction).strip()[:1] for direction in orientation)
    across = row if column in ("F", "H") else column if row in ("F", "H") else ""
    return {"L": "frontal", "R": "frontal", "A": "lateral", "P": "lateral"}.get(across)
