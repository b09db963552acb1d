# SPDX-License-Identifier: Apache-2.0
"""Label maps as NIfTI, through nibabel."""

from __future__ import annotations

import gzip
from os import PathLike
from pathlib import Path

import nibabel
import numpy as np

from lungseg.images.formats import HEAD_BYTES, format_of
from lungseg.images.nifti import lay_as_stored
from lungseg.images.radiograph import SpacingKind

_LABEL_INTENT = 1002


def encode_nifti(
    labels: np.ndarray, source: str | PathLike, spacing: tuple[float, float] | None, spacing_kind: SpacingKind
) -> bytes:
    """Return the bytes of a .nii.gz file of uint8 labels.

    The labels of a NIfTI file lie as its picture does, with its affine. Those of any other file have x as axis 0 and y
    as axis 1, with the affine of a picture that ITK reads (x to the patient's left), so that viewers built on ITK lay
    them on a PNG as on a DICOM file. Without a spacing their unit is the pixel, and none is stated.

    Args:
        labels: (H, W) uint8: 0 background, 1 right lung, 2 left lung.
        source: the file that was segmented.
        spacing: (row, column) millimetres per pixel, or None when it is not known.
        spacing_kind: where the spacing holds; stated in the header's description.
    """
    with open(source, "rb") as file:
        is_nifti = format_of(file.read(HEAD_BYTES)) == "nifti"
    image = _like(labels, Path(source)) if is_nifti else _new(labels, spacing)
    image.header.set_intent(_LABEL_INTENT, name="lungs")
    image.header["descrip"] = f"1 right lung, 2 left lung; spacing: {spacing_kind}".encode()
    # Without a time in it, the same labels make the same file.
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)


def _like(labels: np.ndarray, source: Path) -> nibabel.Nifti1Image:
    volume, header = lay_as_stored(labels, source)
    header.set_data_dtype(np.uint8)
    header["cal_min"], header["cal_max"] = 0, 0
    kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    return kind(volume, header.get_best_affine(), header)


def _new(labels: np.ndarray, spacing: tuple[float, float] | None) -> nibabel.Nifti1Image:
    row, column = spacing or (1.0, 1.0)
    image = nibabel.Nifti1Image(labels.T, np.diag([-column, -row, 1.0, 1.0]))
    image.header.set_xyzt_units("mm" if spacing else "unknown")
    return image
