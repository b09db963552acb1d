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

_LARGEST = 1e30


def read_radiograph(path: str | PathLike) -> Radiograph:
    """Read a PNG, JPEG, TIFF, DICOM or NIfTI file.

    Raises:
        LungsegError: the file cannot be read, is of another format, damaged, too large or too small.
    """
    path = Path(path)
    head, size = read_head(path)
    if not size:
        raise LungsegError("the file is empty", path, "copy or export it again")
    if size > MAX_BYTES:
        raise LungsegError(f"the file has {size} bytes, more than any radiograph", path, TOO_LARGE)
    radiograph = _decode(path, head)
    check_finite(radiograph.pixels, path)
    return radiograph


def check_finite(pixels: NDArray[np.float32], name: str | PathLike[str]) -> None:
    """Raise LungsegError where grey values are not finite, or too large for float32."""
    # Comparisons with NaN are false. Some programs write the largest number there is where there is no picture.
    if not -_LARGEST < pixels.min() <= pixels.max() < _LARGEST:
        remedy = "export it with finite values"
        raise LungsegError("some pixels are not finite or are too large", name, remedy, code="not-finite")


def _decode(path: Path, head: bytes) -> Radiograph:
    """Call the reader of the format; each is imported when the first file needs it."""
    with warnings.catch_warnings():
        # What is wrong with a file is told by the error; what is merely odd in its header is no concern here.
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
    raise LungsegError(
        "this is not a picture in a known format",
        path,
        "give a PNG, JPEG, TIFF, DICOM or NIfTI file, whatever its name",
    )


def read_head(path: Path) -> tuple[bytes, int]:
    """Return the first bytes of a file, for `format_of`, and how many it has.

    Raises:
        LungsegError: it is not there, is no regular file, or may not or cannot be read.
    """
    try:
        status = os.stat(path)
        mode = status.st_mode
        if stat.S_ISDIR(mode):
            raise LungsegError("this is a folder where a file is expected", path, "name one of its files")
        if not stat.S_ISREG(mode):
            # Opening a pipe would wait for its writer for ever.
            raise LungsegError("this is not a regular file", path, "copy its content to a file first")
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES), status.st_size
    except FileNotFoundError as error:
        raise LungsegError("there is no such file", path, "check the name") from error
    except PermissionError as error:
        raise LungsegError("this file may not be read", path, "ask for permission to read it") from error
    except (OSError, ValueError) as error:
        raise LungsegError(f"this file cannot be read ({error})", path, "check the name and the disk") from error
