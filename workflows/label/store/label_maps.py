# SPDX-License-Identifier: Apache-2.0
"""Encode and decode label maps as PNG, NIfTI or NRRD with the size and the orientation of the radiograph."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from lungseg.data.label_files import read_values
from lungseg.io import Radiograph, encode_png, read_radiograph
from lungseg.io.formats import HEAD_BYTES, format_of
from lungseg.io.nifti import encode_nifti
from lungseg.utils.errors import LungsegError
from lungseg.workflows.label.store.nrrd import MAGIC, read_nrrd

LUNGS = {"right_lung": 1, "left_lung": 2}


def natural_ending(image: Path) -> str:
    """Return the ending of a radiograph's label map: `.nii.gz` for NIfTI, `.png` for all other formats."""
    with open(image, "rb") as file:
        return ".nii.gz" if format_of(file.read(HEAD_BYTES)) == "nifti" else ".png"


def encode(labels: NDArray[np.uint8], radiograph: Radiograph, image: Path, ending: str) -> bytes:
    """Encode a label map as a file.

    Args:
        labels: (H, W) uint8 of the radiograph's size: 0 background, 1 right lung, 2 left lung.
        radiograph: the content of `image`; NIfTI and NRRD get its spacing.
        image: the radiograph's file.
        ending: one of `ENDINGS`.

    Raises:
        LungsegError: the ending is unknown (label-map-format).
    """
    # A request can have a value of any type here.
    if ending not in ENDINGS:
        what, remedy = f"label maps cannot be written as {ending!r}", f"use one of {', '.join(ENDINGS)}"
        raise LungsegError(what, remedy=remedy, code="label-map-format")
    return _ENCODERS[ending](labels, radiograph, image)


def _png(labels: NDArray[np.uint8], radiograph: Radiograph, image: Path) -> bytes:
    return encode_png(labels)


def _nifti(labels: NDArray[np.uint8], radiograph: Radiograph, image: Path) -> bytes:
    return encode_nifti(labels, radiograph)


def _nrrd(labels: NDArray[np.uint8], radiograph: Radiograph, image: Path) -> bytes:
    import SimpleITK

    with TemporaryDirectory() as folder:
        nifti, nrrd = Path(folder, "labels.nii.gz"), Path(folder, "labels.nrrd")
        nifti.write_bytes(_nifti(labels, radiograph, image))
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(nifti)), str(nrrd), True)
        return nrrd.read_bytes()


_ENCODERS: dict[str, Callable[[NDArray[np.uint8], Radiograph, Path], bytes]] = {
    ".png": _png,
    ".nii.gz": _nifti,
    ".nrrd": _nrrd,
}
ENDINGS = tuple(_ENCODERS)


def decode(file: Path, image: Path) -> NDArray[np.uint8]:
    """Read a label map of a radiograph.

    Args:
        file: PNG, NIfTI or NRRD.
        image: the radiograph.

    Returns:
        (H, W) uint8 in the radiograph's orientation: 0 background, 1 right lung, 2 left lung.

    Raises:
        LungsegError: the file is damaged or not a label map (not-a-label-map), has another size than the radiograph
            (label-map-size), or other values than 0, 1 and 2 (label-map-values).
    """
    expected = read_radiograph(image).pixels.shape
    values = _read(file, expected)
    if values.shape != expected:
        sizes = " but the radiograph ".join(f"{width} x {height}" for height, width in (values.shape, expected))
        what, remedy = f"the label map has {sizes} pixels", "draw on the radiograph itself"
        raise LungsegError(what, remedy=remedy, code="label-map-size")
    _check_values(values)
    return values.astype(np.uint8)


def _check_values(values: NDArray[Any]) -> None:
    strange = sorted(set(np.unique(values).tolist()) - {0, *LUNGS.values()})
    if strange:
        what = f"the label map has the value {strange[0]:g}"
        raise LungsegError(what, remedy="use 0 background, 1 right lung, 2 left lung", code="label-map-values")


def _read(file: Path, expected: tuple[int, int]) -> NDArray[Any]:
    """Return the (H, W) values of a PNG, NIfTI or NRRD file; of NRRD, only as many as are expected."""
    with open(file, "rb") as opened:
        head = opened.read(HEAD_BYTES)
    try:
        if head.startswith(MAGIC):
            return _read_nrrd(file, expected)
        match format_of(head):
            case "nifti":
                return read_radiograph(file).pixels
            case "raster" if head.startswith(b"\x89PNG"):
                return read_values(file)
    except LungsegError as error:
        # Without the file's name, which is the server's own.
        raise LungsegError(error.what, remedy=error.remedy, code=error.code) from error
    remedy = "send a PNG, NIfTI or NRRD file"
    raise LungsegError("this file is not a label map", remedy=remedy, code="not-a-label-map")


def _read_nrrd(file: Path, expected: tuple[int, int]) -> NDArray[Any]:
    """Return the (H, W) values, turned as a NIfTI file with the same orientation."""
    image = read_nrrd(file, math.prod(expected))
    _check_values(image.values)
    with TemporaryDirectory(prefix="lungseg-") as folder:
        nifti = Path(folder, "labels.nii")
        nibabel.save(nibabel.Nifti1Image(image.values.astype(np.uint8), image.affine), nifti)
        return read_radiograph(nifti).pixels


def encode_picture(radiograph: Radiograph) -> bytes:
    """Encode a radiograph as an 8-bit PNG for display: the grey values between the 0.1st and the 99.9th percentile."""
    low, high = np.percentile(radiograph.pixels, (0.1, 99.9))
    scaled = (radiograph.pixels - low) * (255 / max(float(high - low), 1e-12))
    return encode_png(scaled.clip(0, 255).round().astype(np.uint8))
