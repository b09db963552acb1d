# SPDX-License-Identifier: Apache-2.0
"""The stored pixels of a DICOM file, out of whatever they are compressed with.

GDCM, which alone knows every compression, ends the whole process on some damaged data (an abort or a
segmentation fault that Python cannot catch). What others decode they decode here; the rest is left to a process
of its own.
"""

from __future__ import annotations

import math
import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from lungseg.io.dicom.codecs import _justified
from lungseg.io.dicom.decoder_process import CrashError, decode_in_subprocess
from lungseg.io.jpeg import ends_well, is_filled_up
from lungseg.utils.errors import LungsegError

# pydicom's names of the decoders that only ever raise exceptions.
_SAFE_DECODERS = {
    JPEGBaseline8Bit: "pillow",
    JPEG2000: "pillow",
    JPEG2000Lossless: "pillow",
}
_DAMAGED = "copy or export it again"
# How pydicom (versions 2 and 3) says that what it needs is not installed, or that what is installed cannot do it.
_NO_DECODER = ("dependencies", "not support", "No pixel data decoders", "no pixel data handlers")
_JPEG, _JPEG_2000 = b"\xff\xd8\xff", b"\xff\x4f\xff\x51"
# A table of offsets and, for JPEG 2000, a file header may come first.
_SEARCHED = 4096
# Start-of-frame markers of JPEG, lossless JPEG and JPEG-LS.
_FRAME_MARKERS = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}


def decode(dataset: Dataset, path: Path) -> np.ndarray:
    """Return the pixels as they are stored: (H, W), or (H, W, 3) with YBR turned into RGB.

    Raises:
        LungsegError: the data are damaged, of another size than the header states or of several frames, or no decoder
            is installed.
        Exception: whatever else a decoder raises on damaged data.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_private or not syntax.is_transfer_syntax:
        what = f"its transfer syntax {syntax} is private or unknown"
        raise LungsegError(what, path, "export it with a standard transfer syntax")
    if not syntax.is_encapsulated or syntax == RLELossless:
        return _single(_justified(dataset), dataset, path)
    if syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes):
        _check_frame(dataset, path)
    try:
        pixels = _justified(dataset) if _choose_safe_decoder(dataset, syntax) else decode_in_subprocess(path)
    except (CrashError, RuntimeError) as error:
        if any(words in str(error) for words in _NO_DECODER):
            what = f"no decoder for its pixel data ({syntax.name}) is installed"
            raise LungsegError(what, path, _other_ways()) from error
        raise LungsegError(f"the pixel data ({syntax.name}) are damaged", path, _DAMAGED) from error
    pixels = _single(pixels, dataset, path)
    if syntax == JPEGBaseline8Bit and is_filled_up(pixels):
        raise LungsegError("the pixel data are damaged or cut short", path, _DAMAGED)
    return pixels


def _other_ways() -> str:
    """Return what helps where no decoder is installed."""
    export = "export it uncompressed"
    return export if find_spec("gdcm") else f'try pip install "lungseg[dicom]", or {export}'


def several_frames(count: int, path: Path) -> LungsegError:
    """Say that a file holds more than one radiograph."""
    return LungsegError(f"the DICOM file holds {count} frames", path, "export one radiograph alone")


def _single(pixels: np.ndarray, dataset: Dataset, path: Path) -> np.ndarray:
    """Return the only frame; there may be more pixel data than the header announces."""
    shape = (dataset.Rows, dataset.Columns) + (() if dataset.SamplesPerPixel == 1 else (dataset.SamplesPerPixel,))
    if pixels.size > math.prod(shape):
        raise several_frames(pixels.size // math.prod(shape), path)
    return pixels.reshape(shape)


def _choose_safe_decoder(dataset: Dataset, syntax: UID) -> bool:
    """Make pydicom use the safe decoder, if there is one; before version 3 it cannot be told to."""
    name = _SAFE_DECODERS.get(syntax)
    # Pillow has no deep colours.
    deep = dataset.BitsAllocated > (16 if dataset.SamplesPerPixel == 1 else 8)
    if name is None or deep or not hasattr(dataset, "pixel_array_options"):
        return False
    from pydicom.pixels import get_decoder

    if name not in get_decoder(syntax).available_plugins:
        return False
    dataset.pixel_array_options(decoding_plugin=name)
    return True


def _check_frame(dataset: Dataset, path: Path) -> None:
    """Refuse compressed data of another size than the header states: decoders make room for what the data say."""
    stated = (dataset.Columns, dataset.Rows, dataset.SamplesPerPixel)
    found = _frame_size(dataset.PixelData)
    if found is None or not ends_well(dataset.PixelData):
        raise LungsegError("the pixel data are damaged or cut short", path, _DAMAGED)
    if found != stated:
        sizes = " but the pixel data ".join("{} x {} x {}".format(*size) for size in (stated, found))
        raise LungsegError(f"the header states {sizes} pixels", path, _DAMAGED)


def _frame_size(data: bytes) -> tuple[int, int, int] | None:
    """Return the width, height and number of components that compressed data state of themselves."""
    at = data.find(_JPEG_2000)
    if 0 <= at < _SEARCHED:
        _, width, height, left, top, *_, components = struct.unpack_from(">HIIIIIIIIH", data, at + 6)
        return width - left, height - top, components
    at = data.find(_JPEG)
    if not 0 <= at < _SEARCHED:
        return None
    at += 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in _FRAME_MARKERS:
            height, width, components = struct.unpack_from(">HHB", data, at + 5)
            return width, height, components
        at += 1 if data[at + 1] == 0xFF else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None
