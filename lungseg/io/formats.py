# SPDX-License-Identifier: Apache-2.0
"""Detect formats by content.

File names decide only how results are named and which files of a folder are listed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lungseg.io.radiograph import Format

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom", ".nii", ".nii.gz")

# The number of first bytes that `format_of` needs.
HEAD_BYTES = 348
# PNG; JPEG; TIFF and BigTIFF in either byte order.
_RASTER = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# The first element of a DICOM file without a preamble: of group 2 or 8, in either byte order, with a value
# representation of two letters or, implicit, a short length.
_BARE_DICOM = re.compile(rb"[\x02\x08]\0.\0([A-Z]{2}|.\0\0\0)|\0\x08\0.[A-Z]{2}", re.DOTALL)
# NIfTI-1 with its picture in the same file or in another one; NIfTI-2; both may be gzipped.
_NIFTI_1 = (b"n+1\0", b"ni1\0")
_NIFTI_2 = (b"n+2\0", b"ni2\0")
_GZIP = b"\x1f\x8b"


def split_ending(name: str, endings: Sequence[str] = ENDINGS) -> tuple[str, str] | None:
    """Return a file's name without its ending, and the ending; None for other endings and for an ending alone."""
    for ending in endings:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)], name[-len(ending) :]
    return None


def format_of(head: bytes) -> Format | None:
    """Return the format that the first bytes of a file announce, if any."""
    # A DICOM preamble may contain another format's signature, so DICOM is checked first.
    if head[128:132] == b"DICM" or _BARE_DICOM.match(head):
        return "dicom"
    if head.startswith(_RASTER):
        return "raster"
    if head[344:348] in _NIFTI_1 or head[4:8] in _NIFTI_2 or head.startswith(_GZIP):
        return "nifti"
    return None
