# SPDX-License-Identifier: Apache-2.0
"""A radiograph in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

Format = Literal["dicom", "raster", "nifti"]
SpacingKind = Literal["patient", "detector", "unknown"]
View = Literal["frontal", "lateral", "oblique"]
Projection = Literal["PA", "AP"]


@dataclass(frozen=True)
class SourceFile:
    """The file that a radiograph was read from. All facts come from the same bytes, which were read once.

    Attributes:
        path: the file.
        sha256: of its content, in hex.
        format: its format.
        header: of a DICOM file as :func:`lungseg.io.dicom.header_bytes.encode_header` returns it, of a NIfTI file as it
            is stored, else empty.
    """

    path: Path
    sha256: str
    format: Format
    header: bytes = b""


@dataclass(frozen=True)
class Radiograph:
    """A radiograph as a viewer would show it.

    Attributes:
        pixels: (H, W) float32 in the units of the file; dense tissue is bright, whatever the polarity of the file.
        spacing: (row, column) distance between pixel centres in millimetres, or None when it is unknown.
        spacing_kind: "patient" (calibrated to the patient), "detector" (measured at the detector, where the shadow is
            larger than the patient) or "unknown" (no spacing, or unknown which of the two).
        view: "frontal", "lateral" or "oblique" if the file states it, else None.
        flipped: whether the file states that the picture shows the patient mirrored.
        projection: the way of the rays of a frontal view if the file states it, "PA" (from behind) or "AP" (from the
            front, which enlarges the heart), else None.
        supine: whether the file states that the patient lay on the back.
        stated_object: the modality, kind of object or body part that the file states if that is not a chest radiograph,
            such as "CT" or "KNEE", else an empty string.
        filled_in: attributes that the file does not state in a valid way, with the values that were assumed, such as
            "PhotometricInterpretation MONOCHROME2", or an empty string.
        source: the file that it was read from; None for a radiograph that is not from a file.
    """

    pixels: np.ndarray
    spacing: tuple[float, float] | None = None
    spacing_kind: SpacingKind = "unknown"
    view: View | None = None
    flipped: bool = False
    projection: Projection | None = None
    supine: bool = False
    stated_object: str = ""
    filled_in: str = ""
    source: SourceFile | None = None
