# SPDX-License-Identifier: Apache-2.0
"""Write PNG files."""

from __future__ import annotations

import struct
import zlib
from os import PathLike

import numpy as np
from isal import isal_zlib

from lungseg.utils.errors import UsageError
from lungseg.utils.files import atomic_path

_GREY, _RGB, _PALETTE = 0, 2, 3
_FILTER_UP = 2


def write_png(path: str | PathLike[str], array: np.ndarray) -> None:
    """Write `array`, (H, W) uint8 or uint16 or (H, W, 3) uint8, to `path`.

    Raises:
        UsageError: the array has another shape or type.
        LungsegError: the folder cannot be written to.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(encode_png(array))


def encode_png(array: np.ndarray, palette: np.ndarray | None = None) -> bytes:
    """Return the bytes of a PNG file.

    Pillow tries five filters on each row. Always subtracting the row above and compressing lightly, with Intel's
    ISA-L, takes less than a tenth of the time and gives files of about the same size.

    Args:
        array: see :func:`write_png`.
        palette: (256, 3) uint8, the colours of the values of an (H, W) uint8 `array`.

    Raises:
        UsageError: the array has another shape or type.
    """
    array = np.asarray(array)
    colour = array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8
    grey = array.ndim == 2 and array.dtype.kind == "u" and array.dtype.itemsize <= 2
    if not (colour or grey) or not array.size:
        what = f"a PNG file cannot hold {array.dtype} values of shape {array.shape}"
        raise UsageError(what, remedy="give (H, W) uint8 or uint16, or (H, W, 3) uint8", code="array-unsupported")
    height, width = array.shape[:2]
    rows = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, rows.shape[1] + 1), dtype=np.uint8)
    filtered[:, 0] = _FILTER_UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    data = isal_zlib.compress(filtered, level=1)
    depth = 8 * array.dtype.itemsize
    kind = _RGB if colour else _GREY if palette is None else _PALETTE
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))]
    if palette is not None:
        chunks.append((b"PLTE", palette.astype(np.uint8).tobytes()))
    chunks += [(b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
