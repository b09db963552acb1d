# SPDX-License-Identifier: Apache-2.0
"""Label maps as NIfTI, through nibabel."""

from __future__ import annotations

import gzip
from os import PathLike

import nibabel
import numpy as np

from lungseg.images.radiograph import SpacingKind

_LABEL_INTENT = 1002


def encode_nifti(
    labels: np.ndarray, source: str | PathLike, spacing: tuple[float, float] | None, spacing_kind: SpacingKind
) -> bytes:
    """Return the bytes of a .nii.gz file: uint8, axis 0 is x, axis 1 is y.

    Its affine is that of a picture as ITK reads one (x to the patient's left), so that viewers built on ITK lay the
    labels on the radiograph, be it PNG or DICOM. Without a spacing its unit is the pixel, and none is stated.

    Args:
        labels: (H, W) uint8: 0 background, 1 right lung, 2 left lung.
        source: the file that was segmented.
        spacing: (row, column) millimetres per pixel, or None when it is not known.
        spacing_kind: where the spacing holds; stated in the header's description.
    """
    row, column = spacing or (1.0, 1.0)
    image = nibabel.Nifti1Image(np.ascontiguousarray(labels.T), np.diag([-column, -row, 1.0, 1.0]))
    image.header.set_xyzt_units("mm" if spacing else "unknown")
    image.header.set_intent(_LABEL_INTENT, name="lungs")
    image.header["descrip"] = f"1 right lung, 2 left lung; spacing: {spacing_kind}".encode()
    # Without a time in it, the same labels make the same file.
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)
