# SPDX-License-Identifier: Apache-2.0
"""Bound the number of parts of a PNG or JPEG file: each costs its decoder time, however few bytes it has."""

from __future__ import annotations

import struct

from lungseg.io.content import Content
from lungseg.utils.errors import LungsegError

# Chunks of a PNG file. The largest radiograph has 40,000 if each holds 8 KiB, the buffer of libpng.
_MAX_CHUNKS = 100_000
# Scans of a JPEG file; progressive files have about ten.
_MAX_SCANS = 64
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# Within a scan, FF is followed by 00 or by the number of a restart.
_START_OF_SCAN = b"\xff\xda"


def check_parts(content: Content) -> None:
    """Check the number of chunks of a PNG file, or of scans of a JPEG file.

    Raises:
        LungsegError: there are more than any radiograph has.
    """
    data = content.data
    if data.startswith(_JPEG):
        check_scans(data, content)
    elif data.startswith(_PNG):
        at, chunks = len(_PNG), 0
        while at + 8 <= len(data):
            # Length, type, data, checksum.
            at += 12 + int(struct.unpack_from(">I", data, at)[0])
            chunks += 1
            if chunks > _MAX_CHUNKS:
                raise _too_many(f"{_MAX_CHUNKS} chunks", content)


def check_scans(data: bytes, content: Content) -> None:
    """Check the number of scans of JPEG data that are, or are in, a file.

    Raises:
        LungsegError: there are more than any radiograph has.
    """
    if data.count(_START_OF_SCAN) > _MAX_SCANS:
        raise _too_many(f"{_MAX_SCANS} scans", content)


def _too_many(what: str, content: Content) -> LungsegError:
    return LungsegError(f"the picture has more than {what}", content.path, "export it again", code="too-many-parts")
