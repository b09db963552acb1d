# SPDX-License-Identifier: Apache-2.0
"""Read DICOM radiographs with pydicom: CR, DX and secondary captures with one frame."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.uid import MediaStorageDirectoryStorage, SegmentationStorage

from lungseg.io.colour import luma
from lungseg.io.content import Content
from lungseg.io.dicom.completion import complete
from lungseg.io.dicom.decoding import decode, several_frames
from lungseg.io.dicom.file import parse_dicom
from lungseg.io.dicom.grayscale import display_values
from lungseg.io.dicom.header import is_flipped, is_supine, numbers, projection_of, view_of
from lungseg.io.dicom.header_bytes import encode_header
from lungseg.io.dicom.shutters import apply_shutters
from lungseg.io.dicom.stated_object import stated_object
from lungseg.io.limits import check_size, plausible_spacing
from lungseg.io.radiograph import Radiograph, SourceFile, SpacingKind
from lungseg.utils.errors import LungsegError

# pydicom has no name for the second one, Label Map Segmentation Storage.
_SEGMENTATIONS = (SegmentationStorage, "1.2.840.10008.5.1.4.1.1.66.7")
# Spacings whose relative difference is smaller were written with different numbers of digits.
_ROUNDING = 1e-3


def read_dicom(content: Content) -> Radiograph:
    """Decode a DICOM file with one radiograph, as a viewer shows it.

    The pixels have the type that the transformations give them.

    Raises:
        LungsegError: the file is damaged, has no pixel data, several frames, is too small or too large, or has a
            compression that no installed decoder supports.
    """
    path = content.path
    try:
        dataset = parse_dicom(content)
        filled_in = complete(dataset)
        # Before any other element is read, which might change its bytes.
        source = SourceFile(path, content.sha256, "dicom", encode_header(dataset))
        _check_header(dataset, path)
        stored = decode(dataset, content)
        # Each copy of a large radiograph has tens of megabytes.
        del dataset.PixelData
        pixels, ignored = apply_shutters(_to_grey(stored, dataset, path), dataset)
        filled_in = ", ".join(filter(None, (filled_in, *ignored)))
        spacing, kind = spacing_of(dataset)
        view, flipped = view_of(dataset), is_flipped(dataset)
        projection, supine, said = projection_of(dataset), is_supine(dataset), stated_object(dataset)
    except (LungsegError, MemoryError):
        raise
    except Exception as error:  # a damaged file makes a decoder raise any exception
        reason = str(error).split(" - ")[0]  # pydicom continues with guesses
        what = f"the DICOM file is damaged ({reason})"
        raise LungsegError(what, path, "copy or export it again", code="damaged") from error
    return Radiograph(pixels, spacing, kind, view, flipped, projection, supine, said, filled_in, source)


def spacing_of(dataset: Dataset) -> tuple[tuple[float, float] | None, SpacingKind]:
    """Return (row, column) millimetres and the plane in which they are measured (DICOM PS3.3, 10.7.1.3).

    A `PixelSpacing` that repeats `ImagerPixelSpacing` without a calibration is the detector's; alone, it may be either.
    """
    patient, imager, scanned = (
        plausible_spacing(numbers(dataset, name))
        for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
    )
    detector = imager or scanned
    differs = patient and detector and not np.allclose(patient, detector, rtol=_ROUNDING)
    if patient and (differs or dataset.get("PixelSpacingCalibrationType")):
        return patient, "patient"
    if patient and not detector:
        return patient, "unknown"
    return (detector, "detector") if detector else (None, "unknown")


def _check_header(dataset: Dataset, path: Path) -> None:
    meta = dataset.file_meta
    if meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage or "DirectoryRecordSequence" in dataset:
        what = "this is a DICOMDIR, the list of the pictures on a disc, not a picture"
        remedy = f"name the folder that it lies in: lungseg predict {shlex.quote(str(path.parent))}"
        raise LungsegError(what, path, remedy, code="dicom-directory")
    if "PixelData" not in dataset or "Rows" not in dataset or "Columns" not in dataset:
        kind = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
        kind = f" ({kind.name})" if kind and kind.name != kind else ""
        what = f"the DICOM file{kind} holds no picture or is cut short"
        raise LungsegError(what, path, "give the image object itself", code="no-picture")
    if dataset.get("SOPClassUID") in _SEGMENTATIONS:
        what = "the DICOM file is a segmentation, not a radiograph"
        raise LungsegError(what, path, "give the image object itself", code="no-picture")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise several_frames(frames, path)
    check_size(dataset.Columns, dataset.Rows, path)


def _to_grey(pixels: np.ndarray, dataset: Dataset, path: Path) -> np.ndarray:
    """Return (H, W) brightness."""
    photometric = str(dataset.PhotometricInterpretation)
    if photometric in ("MONOCHROME1", "MONOCHROME2"):
        return display_values(pixels, dataset)
    if photometric == "PALETTE COLOR":
        return luma(_apply_palette(pixels, dataset))
    # pydicom 3 converts YBR to RGB; in pydicom 2 the colour space of the result depends on the decoder.
    if photometric == "RGB" or (photometric.startswith("YBR") and int(pydicom.__version__.split(".")[0]) >= 3):
        return luma(pixels)
    what = f"the colours are stored as {photometric}"
    raise LungsegError(what, path, "export the radiograph in grey", code="colours-unsupported")


def _apply_palette(pixels: np.ndarray, dataset: Dataset) -> np.ndarray:
    try:
        from pydicom.pixels import apply_color_lut
    except ImportError:  # pydicom 2
        from pydicom.pixel_data_handlers.util import apply_color_lut  # type: ignore[no-redef]

    return np.asarray(apply_color_lut(pixels, dataset))
