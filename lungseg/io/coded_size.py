# SPDX-License-Identifier: Apache-2.0
"""The size that WebP and JPEG 2000 data state themselves: their decoders allocate it before Pillow can compare it."""

from __future__ import annotations

import struct
from typing import NamedTuple

from lungseg.io.content import Content
from lungseg.io.limits import check_size
from lungseg.utils.errors import LungsegError

_JP2, _CODESTREAM = b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"
# Boxes of a JPEG 2000 file; a file has about five.
_MAX_BOXES = 1000
# The sign of a component's values, in the byte with the number of its bits less one.
_SIGNED = 0x80


class Components(NamedTuple):
    """The values that JPEG 2000 data hold.

    Attributes:
        bits: of each value of the first component.
        signed: whether these values may be negative.
    """

    bits: int
    signed: bool


def check_coded_size(content: Content) -> None:
    """Check the size that WebP or JPEG 2000 data state; data of other formats pass.

    Raises:
        LungsegError: it is not the size of a radiograph, or the data are damaged.
    """
    data = content.data
    try:
        if data.startswith(b"RIFF"):
            check_size(*_size_of_webp(data), content.path)
        elif data.startswith((_JP2, _CODESTREAM)):
            width, height, left, top = struct.unpack_from(">IIII", data, _codestream(content) + 8)
            check_size(width - left, height - top, content.path)
    except struct.error as error:
        raise _damaged(content) from error


def jpeg_2000_components(content: Content) -> Components | None:
    """Return what JPEG 2000 data hold, or None for another format."""
    if not content.data.startswith((_JP2, _CODESTREAM)):
        return None
    stated = content.data[_codestream(content) + 42]
    return Components((stated & ~_SIGNED) + 1, bool(stated & _SIGNED))


def _size_of_webp(data: bytes) -> tuple[int, int]:
    """Return the width and height of the canvas, of a lossless or of a lossy picture."""
    match data[12:16]:
        case b"VP8X":
            wide, wider, high, higher = struct.unpack_from("<HBHB", data, 24)
            return (wider << 16) + wide + 1, (higher << 16) + high + 1
        case b"VP8L":
            (both,) = struct.unpack_from("<I", data, 21)
            return (both & 0x3FFF) + 1, (both >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _codestream(content: Content) -> int:
    """Return where the codestream of JPEG 2000 data begins: the first byte, or the content of a box."""
    data, at = content.data, 0
    if not data.startswith(_JP2):
        return at
    for _ in range(_MAX_BOXES):
        length, kind = struct.unpack_from(">I4s", data, at)
        begin = at + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, begin)
            begin += 8
        if kind == b"jp2c":
            if not data.startswith(_CODESTREAM, begin):
                break
            return begin
        if length < 8:
            break
        at += length
    raise _damaged(content)


def _damaged(content: Content) -> LungsegError:
    what = "the picture's header is damaged or cut short"
    return LungsegError(what, content.path, "copy or export it again", code="damaged")
