# SPDX-License-Identifier: Apache-2.0
"""Detect formats by content.

File names decide only how results are named and which files of a folder are listed.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

from lungseg.io.radiograph import Format

ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".j2k"),
    *(".dcm", ".dicom", ".nii", ".dcm.gz", ".dicom.gz", ".nii.gz"),
    ".img",  # see lungseg.io.jsrt
)

GZIP = b"\x1f\x8b"
# The number of first bytes that `format_of` needs: 348, and the tables of a gzip file before them.
HEAD_BYTES = 1024
# PNG; JPEG; TIFF and BigTIFF in either byte order; GIF; JPEG 2000, as a file and as a bare codestream.
_RASTER = (
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF87a", b"GIF89a"),
    *(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
)
# WebP; BMP, whose signature has two letters only, with the length of its second header.
_RASTER_PATTERN = re.compile(rb"RIFF.{4}WEBP|BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL)
# The first element of a DICOM file without a preamble: of group 2 or 8, in either byte order, with a value
# representation of two letters or, implicit, a short length.
_BARE_DICOM = re.compile(rb"[\x02\x08]\0.\0([A-Z]{2}|.\0\0\0)|\0\x08\0.[A-Z]{2}", re.DOTALL)
# NIfTI-1 with its picture in the same file or in another one; NIfTI-2.
_NIFTI_1 = (b"n+1\0", b"ni1\0")
_NIFTI_2 = (b"n+2\0", b"ni2\0")


def split_ending(name: str, endings: Sequence[str] = ENDINGS) -> tuple[str, str] | None:
    """Return a file's name without its ending, and the ending; None for other endings and for an ending alone."""
    for ending in endings:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)], name[-len(ending) :]
    return None


def format_of(head: bytes) -> Format | None:
    """Return the format that the first bytes of a file, or of the file that is gzipped in it, announce, if any."""
    head = inflated_head(head)
    # A DICOM preamble may contain another format's signature, so DICOM is checked first.
    if head[128:132] == b"DICM" or _BARE_DICOM.match(head):
        return "dicom"
    if head.startswith(_RASTER) or _RASTER_PATTERN.match(head):
        return "raster"
    if head[344:348] in _NIFTI_1 or head[4:8] in _NIFTI_2:
        return "nifti"
    return None


def inflated_head(head: bytes) -> bytes:
    """Return the first bytes of the file that is gzipped in a file, or those of the file itself; none if damaged."""
    if not head.startswith(GZIP):
        return head
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""
