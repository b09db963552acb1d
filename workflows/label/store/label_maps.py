# SPDX-License-Identifier: Apache-2.0
"""Label maps as they travel: PNG, NIfTI or NRRD, as large as the radiograph and turned as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lungseg.data.labels import read_values
from lungseg.io import Radiograph, encode_png, read_radiograph
from lungseg.io.formats import HEAD_BYTES, format_of
from lungseg.io.nifti import encode_nifti
from lungseg.utils.errors import LungsegError

LUNGS = {"right_lung": 1, "left_lung": 2}


def natural_ending(image: Path) -> str:
    """Return the ending of the label map of a file: that of NIfTI for NIfTI, else PNG, which loses nothing."""
    with open(image, "rb") as file:
        return ".nii.gz" if format_of(file.read(HEAD_BYTES)) == "nifti" else ".png"


def encode(labels: np.ndarray, radiograph: Radiograph, image: Path, ending: str) -> bytes:
    """Return the bytes of a label map's file.

    Args:
        labels: (H, W) uint8 of the radiograph's size: 0 background, 1 right lung, 2 left lung.
        radiograph: what was read from `image`; its spacing goes into NIfTI and NRRD.
        image: the file that was segmented.
        ending: one of `ENDINGS`.

    Raises:
        LungsegError: there is no writer for the ending.
    """
    if ending not in _ENCODERS:
        raise LungsegError(f"no label map can be written as {ending!r}", remedy=f"choose among {', '.join(ENDINGS)}")
    return _ENCODERS[ending](labels, radiograph, image)


def _png(labels: np.ndarray, radiograph: Radiograph, image: Path) -> bytes:
    return encode_png(labels)


def _nifti(labels: np.ndarray, radiograph: Radiograph, image: Path) -> bytes:
    return encode_nifti(labels, image, radiograph.spacing, radiograph.spacing_kind)


def _nrrd(labels: np.ndarray, radiograph: Radiograph, image: Path) -> bytes:
    import SimpleITK

    with TemporaryDirectory() as folder:
        nifti, nrrd = Path(folder, "labels.nii.gz"), Path(folder, "labels.nrrd")
        nifti.write_bytes(_nifti(labels, radiograph, image))
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(nifti)), str(nrrd), True)
        return nrrd.read_bytes()


_ENCODERS: dict[str, Callable[[np.ndarray, Radiograph, Path], bytes]] = {
    ".png": _png,
    ".nii.gz": _nifti,
    ".nrrd": _nrrd,
}
ENDINGS = tuple(_ENCODERS)


def decode(file: Path, image: Path) -> np.ndarray:
    """Read a label map that a client sent for a radiograph.

    Args:
        file: PNG, NIfTI or NRRD.
        image: the radiograph.

    Returns:
        (H, W) uint8 as the radiograph is seen: 0 background, 1 right lung, 2 left lung.

    Raises:
        LungsegError: it is no label map, or not of this radiograph.
    """
    values = _read(file)
    expected = read_radiograph(image).pixels.shape
    if values.shape != expected:
        sizes = " but the radiograph ".join(f"{width} x {height}" for height, width in (values.shape, expected))
        raise LungsegError(f"the label map has {sizes} pixels", remedy="draw on the radiograph itself")
    strange = sorted(set(np.unique(values).tolist()) - {0, *LUNGS.values()})
    if strange:
        what = f"the label map has the value {strange[0]:g}"
        raise LungsegError(what, remedy="use 0 background, 1 right lung, 2 left lung")
    return values.astype(np.uint8)


def _read(file: Path) -> np.ndarray:
    """Return (H, W) values, whatever they are."""
    with open(file, "rb") as opened:
        head = opened.read(HEAD_BYTES)
    try:
        if head.startswith(b"NRRD"):
            return _read_nrrd(file)
        match format_of(head):
            case "nifti":
                return read_radiograph(file).pixels
            case "raster" if head.startswith(b"\x89PNG"):
                return read_values(file)
    except LungsegError as error:
        raise LungsegError(error.what, remedy=error.remedy) from error  # the file's name is the server's own
    raise LungsegError("this is no label map", remedy="send a PNG, NIfTI or NRRD file")


def _read_nrrd(file: Path) -> np.ndarray:
    import SimpleITK

    with TemporaryDirectory() as folder:
        nifti = Path(folder, "labels.nii.gz")
        try:
            SimpleITK.WriteImage(SimpleITK.ReadImage(str(file), SimpleITK.sitkUInt8, "NrrdImageIO"), str(nifti))
        except RuntimeError as error:
            raise LungsegError("the NRRD file is damaged", remedy="export it again") from error
        return read_radiograph(nifti).pixels


def picture(radiograph: Radiograph) -> bytes:
    """Return a PNG of 8 bits to look at: the grey values between the 0.1st and the 99.9th percentile."""
    low, high = np.percentile(radiograph.pixels, (0.1, 99.9))
    scaled = (radiograph.pixels - low) * (255 / max(float(high - low), 1e-12))
    return encode_png(scaled.clip(0, 255).round().astype(np.uint8))
