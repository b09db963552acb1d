# SPDX-License-Identifier: Apache-2.0
"""Read a radiograph of any supported format."""

from __future__ import annotations

import os
import stat
import warnings
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungseg.io.formats import HEAD_BYTES, format_of
from lungseg.io.limits import MAX_BYTES, TOO_LARGE
from lungseg.io.radiograph import Radiograph
from lungseg.utils.errors import LungsegError

# Some programs write the largest float where there is no picture.
_LARGEST = 1e30


def read_radiograph(path: str | PathLike[str]) -> Radiograph:
    """Read a PNG, JPEG, TIFF, DICOM or NIfTI file.

    Raises:
        LungsegError: the file cannot be read, has another format, is damaged, too large or too small.
    """
    path = Path(path)
    head, size = read_head(path)
    if not size:
        raise LungsegError("the file is empty", path, "copy or export it again", code="empty-file")
    if size > MAX_BYTES:
        what = f"the file has {size} bytes, more than any radiograph"
        raise LungsegError(what, path, TOO_LARGE, code="too-large")
    radiograph = _decode(path, head)
    check_finite(radiograph.pixels, path)
    return radiograph


def check_finite(pixels: NDArray[np.float32], name: str | PathLike[str]) -> None:
    """Raise LungsegError if some grey values are not finite, or too large to compute with."""
    # Comparisons with NaN are false.
    if not -_LARGEST < pixels.min() <= pixels.max() < _LARGEST:
        what = "some pixels are not finite numbers, or are too large"
        raise LungsegError(what, name, "export it with finite pixel values", code="not-finite")


def _decode(path: Path, head: bytes) -> Radiograph:
    """Call the reader of the format. Each reader is imported when the first file needs it."""
    with warnings.catch_warnings():
        # Errors report a damaged file. Oddities of its header do not matter here.
        warnings.simplefilter("ignore")
        match format_of(head):
            case "raster":
                from lungseg.io.raster import read_raster

                return read_raster(path)
            case "dicom":
                from lungseg.io.dicom.reader import read_dicom

                return read_dicom(path)
            case "nifti":
                from lungseg.io.nifti import read_nifti

                return read_nifti(path)
    remedy = "give a PNG, JPEG, TIFF, DICOM or NIfTI file, whatever its name"
    raise LungsegError("this is not a picture in a known format", path, remedy, code="unknown-format")


def read_head(path: Path) -> tuple[bytes, int]:
    """Return the first bytes of a file, for `format_of`, and its size in bytes.

    Raises:
        LungsegError: the file does not exist, is not a regular file, or cannot be read.
    """
    try:
        status = os.stat(path)
        mode = status.st_mode
        if stat.S_ISDIR(mode):
            what = "this is a folder where a file is expected"
            raise LungsegError(what, path, "name one of its files", code="is-folder")
        if not stat.S_ISREG(mode):
            # Opening a pipe would wait for its writer for ever.
            remedy = "copy its content to a file first"
            raise LungsegError("this is not a regular file", path, remedy, code="not-regular-file")
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES), status.st_size
    except FileNotFoundError as error:
        raise LungsegError("there is no such file", path, "check the name", code="not-found") from error
    except PermissionError as error:
        remedy = "ask for permission to read it"
        raise LungsegError("this file may not be read", path, remedy, code="not-permitted") from error
    except (OSError, ValueError) as error:
        remedy = "check the name and the disk"
        raise LungsegError(f"this file cannot be read ({error})", path, remedy, code="not-readable") from error
