# SPDX-License-Identifier: Apache-2.0
"""What compressed pixel data say about themselves: their codec, by item tags and first bytes, and their size.

See DICOM PS3.5, A.4 (items) and G.5 (RLE); ISO/IEC 10918-1, 14495-1 and 15444-1 (markers).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from pydicom.uid import (
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

# pydicom 2 and 3 name different ones JPEGLossless.
JPEG_LOSSLESS = UID("1.2.840.10008.1.2.4.57")
_ITEM = b"\xfe\xff\x00\xe0"
_JPEG, _JPEG_2000, _JP2 = b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "
# A table of offsets and, for JPEG 2000, a file header may come before the frame.
_SEARCHED = 4096
# Start-of-frame markers of JPEG, lossless JPEG and JPEG-LS.
_FRAME_MARKERS = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
_LOSSLESS, _JPEG_LS, _SCAN = 0xC3, 0xF7, 0xDA
# The header of RLE data: the number of segments, and where each begins.
_RLE_HEADER, _RLE_SEGMENTS = 64, 15


class Frame(NamedTuple):
    """The picture that compressed data state; `kind` is the marker that begins a frame of JPEG, or 0."""

    width: int
    height: int
    components: int
    bits: int
    signed: bool = False
    kind: int = 0


def is_encapsulated(data: bytes) -> bool:
    """Return whether pixel data consist of items, as compressed data do."""
    return data.startswith(_ITEM)


def is_bare(data: bytes) -> bool:
    """Return whether pixel data are those of a codec, without items around them."""
    return data.startswith((_JPEG, _JPEG_2000, _JP2))


def frame_of(data: bytes) -> Frame | None:
    """Return the frame that JPEG, JPEG-LS or JPEG 2000 data state, in items or not.

    Raises:
        struct.error: the data end before.
    """
    at = data.find(_JPEG_2000, 0, _SEARCHED + len(_JPEG_2000))
    if at >= 0:
        _, width, height, left, top, *_, components, depth = struct.unpack_from(">HIIIIIIIIHB", data, at + 6)
        return Frame(width - left, height - top, components, (depth & 0x7F) + 1, depth > 0x7F)
    at = data.find(_JPEG, 0, _SEARCHED + len(_JPEG)) + 2
    while at >= 2 and at + 10 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in _FRAME_MARKERS:
            bits, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
            return Frame(width, height, components, bits, kind=data[at + 1])
        at = _next_segment(data, at)
    return None


def syntax_of(data: bytes) -> UID | None:
    """Return the transfer syntax of pixel data in items, by the first bytes of the frame; None for an unknown one.

    Raises:
        struct.error: the data end before.
    """
    at = 0
    # The table of offsets, which some programs leave out, and the frame.
    for _ in range(2):
        if data[at : at + 4] != _ITEM:
            break
        (length,) = struct.unpack_from("<I", data, at + 4)
        found = _syntax_of_frame(data[at + 8 : at + 8 + _RLE_HEADER], data)
        if found:
            return found
        at += 8 + length
    return None


def rle_bytes(data: bytes) -> int:
    """Return the number of segments of RLE data, one for each byte of a pixel; 0 for other data."""
    at = 8 + (struct.unpack_from("<I", data, 4)[0] if len(data) > 8 else 0)
    header = data[at + 8 : at + 8 + _RLE_HEADER]
    return struct.unpack_from("<I", header)[0] if _is_rle(header) else 0


def _syntax_of_frame(head: bytes, data: bytes) -> UID | None:
    if head.startswith((_JPEG_2000, _JP2)):
        # Decoders take data with and without loss under either name.
        return JPEG2000
    if head.startswith(_JPEG):
        frame = frame_of(data)
        return _jpeg_syntax(frame, data) if frame else None
    return RLELossless if _is_rle(head) else None


def _is_rle(head: bytes) -> bool:
    if len(head) < _RLE_HEADER:
        return False
    segments, first = struct.unpack_from("<II", head)
    return bool(1 <= segments <= _RLE_SEGMENTS and first == _RLE_HEADER)


def _jpeg_syntax(frame: Frame, data: bytes) -> UID:
    if frame.kind in (_LOSSLESS, _JPEG_LS):
        # The predictor of lossless JPEG; the greatest error of JPEG-LS.
        parameter = _scan_parameter(data)
        if frame.kind == _JPEG_LS:
            return JPEGLSNearLossless if parameter else JPEGLSLossless
        return JPEGLosslessSV1 if parameter == 1 else JPEG_LOSSLESS
    return JPEGBaseline8Bit if frame.bits == 8 else JPEGExtended12Bit


def _scan_parameter(data: bytes) -> int:
    """Return the first number behind the components of the first scan."""
    at = data.find(_JPEG, 0, _SEARCHED + len(_JPEG)) + 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == _SCAN:
            return data[at + 5 + 2 * data[at + 4]]
        at = _next_segment(data, at)
    return 0


def _next_segment(data: bytes, at: int) -> int:
    """Return where the segment after the one at `at` begins; FF may be repeated before a marker."""
    return at + (1 if data[at + 1] == 0xFF else 2 + int(struct.unpack_from(">H", data, at + 2)[0]))
