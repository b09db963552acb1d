# SPDX-License-Identifier: Apache-2.0
"""Unpack a gzipped file in memory, in a bounded number of bytes."""

from __future__ import annotations

from io import BytesIO

from isal import igzip

from lungseg.io.content import Content
from lungseg.io.formats import GZIP, HEAD_BYTES, format_of
from lungseg.io.limits import MAX_BYTES, TOO_LARGE
from lungseg.utils.errors import LungsegError, first_line

# Bytes that are inflated at a time.
_STEP = 2**24


def unpack(content: Content) -> Content:
    """Return the DICOM file, PNG file or the like that is gzipped in a file; any other file as it is.

    NIfTI files are left to their reader, which inflates only as many bytes as their header states.

    Raises:
        LungsegError: the gzip data are damaged or cut short, or inflate to more bytes than any radiograph has.
    """
    if not content.data.startswith(GZIP) or format_of(content.data[:HEAD_BYTES]) not in ("dicom", "raster"):
        return content
    unpacked = BytesIO()
    try:
        with igzip.open(BytesIO(content.data)) as file:  # type: ignore[no-untyped-call]
            while block := file.read(_STEP):
                if unpacked.write(block) and unpacked.tell() > MAX_BYTES:
                    what = "the gzip file inflates to more bytes than any radiograph has"
                    raise LungsegError(what, content.path, TOO_LARGE, code="too-large")
    except (EOFError, OSError) as error:
        what = f"the gzip file is damaged or cut short ({first_line(error)})"
        raise LungsegError(what, content.path, "copy it again", code="damaged") from error
    return Content(content.path, unpacked.getvalue(), content.sha256)
