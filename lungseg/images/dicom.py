# SPDX-License-Identifier: Apache-2.0
"""DICOM files, through pydicom: CR, DX and secondary capture, one frame."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom import Dataset

from lungseg.errors import LungsegError
from lungseg.images.grayscale import display_values
from lungseg.images.limits import check_size
from lungseg.images.radiograph import Radiograph, SpacingKind

_DAMAGED = "copy or export it again"
# Beyond these millimetres per pixel a number in the header is no spacing of a radiograph.
_PLAUSIBLE_MM = (0.01, 5.0)


def read_dicom(path: Path) -> Radiograph:
    """Read a DICOM file that holds one radiograph, as a viewer shows it.

    Raises:
        LungsegError: the file is damaged, has no pixel data, several frames, an unfit size or a compression
            that no installed decoder knows.
    """
    try:
        dataset = pydicom.dcmread(path)
        _refuse_by_header(dataset, path)
        pixels = _to_grey(_decode(dataset, path), dataset, path)
        spacing, kind = spacing_of(dataset)
    except LungsegError:
        raise
    except Exception as error:  # decoders raise whatever a damaged byte leads them to
        reason = str(error).split(" - ")[0]  # pydicom goes on with guesses
        raise LungsegError(f"the DICOM file is damaged ({reason})", path, _DAMAGED) from error
    return Radiograph(np.ascontiguousarray(pixels, dtype=np.float32), spacing, kind)


def spacing_of(dataset: Dataset) -> tuple[tuple[float, float] | None, SpacingKind]:
    """Return (row, column) millimetres and in which plane they hold (DICOM PS3.3, 10.7.1.3).

    `PixelSpacing` that repeats `ImagerPixelSpacing` without a calibration is the detector's.
    """
    patient = _plausible(dataset.get("PixelSpacing"))
    detector = _plausible(dataset.get("ImagerPixelSpacing") or dataset.get("NominalScannedPixelSpacing"))
    if patient and (patient != detector or dataset.get("PixelSpacingCalibrationType")):
        return patient, "patient"
    return (detector, "detector") if detector else (None, "unknown")


def _plausible(values) -> tuple[float, float] | None:
    try:
        row, column = (float(value) for value in values)
    except (TypeError, ValueError):
        return None
    low, high = _PLAUSIBLE_MM
    good = all(math.isfinite(value) and low <= value <= high for value in (row, column))
    return (row, column) if good else None


def _refuse_by_header(dataset: Dataset, path: Path) -> None:
    if "PixelData" not in dataset or "Rows" not in dataset or "Columns" not in dataset:
        raise LungsegError("the DICOM file holds no picture or is cut short", path, "give the image object itself")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise LungsegError(f"the DICOM file holds {frames} frames", path, "export one radiograph alone")
    check_size(dataset.Columns, dataset.Rows, path)


def _decode(dataset: Dataset, path: Path) -> np.ndarray:
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        return dataset.pixel_array
    except (RuntimeError, NotImplementedError) as error:
        if not syntax.is_compressed:
            raise
        raise LungsegError(
            f"the pixel data ({syntax.name}) are damaged, or no decoder for them is installed",
            path,
            'install the decoders with pip install "lungseg[dicom]"',
        ) from error


def _to_grey(pixels: np.ndarray, dataset: Dataset, path: Path) -> np.ndarray:
    """Return (H, W) brightness."""
    pixels = np.squeeze(pixels)
    photometric = str(dataset.PhotometricInterpretation)
    if photometric in ("MONOCHROME1", "MONOCHROME2"):
        return display_values(pixels, dataset)
    # From version 3 on, pydicom turns YBR into RGB itself; before, what comes out depends on the decoder.
    if photometric == "RGB" or (photometric.startswith("YBR") and int(pydicom.__version__.split(".")[0]) >= 3):
        return _luma(pixels, path)
    raise LungsegError(f"the colours are stored as {photometric}", path, "export the radiograph in grey")


def _luma(pixels: np.ndarray, path: Path) -> np.ndarray:
    if pixels.dtype != np.uint8:
        raise LungsegError("the colours are deeper than 8 bits", path, "export the radiograph in grey")
    return np.asarray(Image.fromarray(pixels).convert("L"))
