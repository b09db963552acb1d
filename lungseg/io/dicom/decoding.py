# SPDX-License-Identifier: Apache-2.0
"""Decode the stored pixels of a DICOM file, in a process that damaged data may end.

Only GDCM supports every compression, but it ends the whole process on some damaged data (an abort or a segmentation
fault, which Python cannot catch). Decoders that only raise exceptions are preferred.
"""

from __future__ import annotations

import math
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

from lungseg.io.content import Content
from lungseg.io.dicom.codecs import decode_compressed, stored_pixels
from lungseg.io.dicom.codestream import frame_of, is_encapsulated
from lungseg.io.jpeg import ends_well, is_filled_up
from lungseg.io.parts import check_scans
from lungseg.utils.errors import LungsegError

# pydicom's names of decoders that only raise exceptions.
_SAFE_DECODERS = {
    JPEGBaseline8Bit: "pillow",
    JPEG2000: "pillow",
    JPEG2000Lossless: "pillow",
}
_COPY_AGAIN = "copy or export it again"
# Words of pydicom (versions 2 and 3) for a decoder that is not installed or does not support the data.
_NO_DECODER = ("dependencies", "not support", "No pixel data decoders", "no pixel data handlers")


def decode(dataset: Dataset, content: Content) -> np.ndarray:
    """Return the stored pixels: (H, W), or (H, W, 3) with YBR converted to RGB.

    Raises:
        LungsegError: the data are damaged, have another size than the header states or several frames, or no decoder is
            installed.
        Exception: a decoder may raise any exception on damaged data.
    """
    syntax, path = dataset.file_meta.TransferSyntaxUID, content.path
    if syntax.is_private or not syntax.is_transfer_syntax:
        what = f"its transfer syntax {syntax} is private or unknown"
        raise LungsegError(what, path, "export it with a standard transfer syntax", code="transfer-syntax-unknown")
    if not syntax.is_encapsulated and is_encapsulated(dataset.PixelData) and not _has_native_length(dataset):
        what = "its pixel data are compressed, but the file does not state how"
        raise LungsegError(what, path, "export it uncompressed", code="transfer-syntax-unknown")
    if not syntax.is_encapsulated or syntax == RLELossless:
        return _single(stored_pixels(dataset), dataset, path)
    if syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes):
        _check_frame(dataset, path)
        check_scans(dataset.PixelData, content)
    try:
        _choose_safe_decoder(dataset, syntax)
        pixels = decode_compressed(dataset)
    except MemoryError:
        raise
    except Exception as error:  # a decoder may raise any exception
        if any(words in str(error) for words in _NO_DECODER):
            what = f"no decoder for its pixel data ({syntax.name}) is installed"
            raise LungsegError(what, path, _other_ways(), code="decoder-missing") from error
        what = f"the pixel data ({syntax.name}) are damaged"
        raise LungsegError(what, path, _COPY_AGAIN, code="damaged") from error
    pixels = _single(pixels, dataset, path)
    if syntax == JPEGBaseline8Bit and is_filled_up(pixels):
        raise LungsegError("the pixel data are damaged or cut short", path, _COPY_AGAIN, code="damaged")
    return pixels


def _has_native_length(dataset: Dataset) -> bool:
    bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated
    return len(dataset.PixelData) - bits // 8 in (0, 1)


def _other_ways() -> str:
    """Return the remedy if no decoder is installed."""
    export = "export it uncompressed"
    return export if find_spec("gdcm") else f'try pip install "lungseg[dicom]", or {export}'


def several_frames(count: int, path: Path) -> LungsegError:
    """Return the error for a file that holds more than one radiograph."""
    what = f"the DICOM file holds {count} frames"
    return LungsegError(what, path, "export one radiograph alone", code="several-pictures")


def _single(pixels: np.ndarray, dataset: Dataset, path: Path) -> np.ndarray:
    """Return the only frame. The file may have more pixel data than the header states."""
    shape = (dataset.Rows, dataset.Columns) + (() if dataset.SamplesPerPixel == 1 else (dataset.SamplesPerPixel,))
    if pixels.size > math.prod(shape):
        raise several_frames(pixels.size // math.prod(shape), path)
    return pixels.reshape(shape)


def _choose_safe_decoder(dataset: Dataset, syntax: UID) -> None:
    """Make pydicom use a safe decoder if there is one; pydicom 2 has no such option."""
    name = _SAFE_DECODERS.get(syntax)
    # Pillow does not support deep colours.
    deep = dataset.BitsAllocated > (16 if dataset.SamplesPerPixel == 1 else 8)
    if name is None or deep or not hasattr(dataset, "pixel_array_options"):
        return
    from pydicom.pixels import get_decoder

    if name in get_decoder(syntax).available_plugins:
        dataset.pixel_array_options(decoding_plugin=name)


def _check_frame(dataset: Dataset, path: Path) -> None:
    """Check the size that compressed data state against the header: decoders allocate the size in the data.

    Raises:
        LungsegError: the sizes differ, or the data are damaged.
    """
    stated = (dataset.Columns, dataset.Rows, dataset.SamplesPerPixel)
    frame = frame_of(dataset.PixelData)
    if frame is None or not ends_well(dataset.PixelData):
        raise LungsegError("the pixel data are damaged or cut short", path, _COPY_AGAIN, code="damaged")
    if (found := frame[:3]) != stated:
        sizes = " but the pixel data ".join("{} x {} x {}".format(*size) for size in (stated, found))
        raise LungsegError(f"the header states {sizes} pixels", path, _COPY_AGAIN, code="damaged")
