# SPDX-License-Identifier: Apache-2.0
"""One file on disk becomes one grey picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

SpacingKind = Literal["patient", "detector", "unknown"]
View = Literal["frontal", "lateral", "oblique"]


@dataclass(frozen=True)
class Radiograph:
    """A radiograph as a viewer shows it.

    Attributes:
        pixels: (H, W) float32 in the units of the file; bright is dense, whatever the file's polarity.
        spacing: (row, column) distance between pixel centres in millimetres, or None when it is not known.
        spacing_kind: "patient" (calibrated to the patient), "detector" (as measured at the detector, where
            the shadow is larger than the patient) or "unknown" (which of them, or whether there is any spacing at all).
        view: "frontal", "lateral" or "oblique" where the file says so, else None.
        flipped: the file says that the picture shows the patient mirrored.
    """

    pixels: np.ndarray
    spacing: tuple[float, float] | None = None
    spacing_kind: SpacingKind = "unknown"
    view: View | None = None
    flipped: bool = False
