# SPDX-License-Identifier: Apache-2.0
"""Decode compressed pixel data in this process.

GDCM can end the process on damaged data: see :mod:`lungseg.io.dicom.decoding` for where it runs.
"""

from __future__ import annotations

import numpy as np
from pydicom import Dataset
from pydicom.uid import JPEGExtended12Bit


def decode_here(dataset: Dataset, path: str) -> np.ndarray:
    """Return the stored pixels of compressed data, with decoders that may end the process.

    Raises:
        RuntimeError: there is no decoder.
        Exception: a decoder may raise any exception on damaged data.
    """
    if dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit and dataset.BitsAllocated > 8:
        return _extended_jpeg(dataset, path)
    return stored_pixels(dataset)


def _extended_jpeg(dataset: Dataset, path: str) -> np.ndarray:
    """Decode 12-bit JPEG with GDCM directly: pydicom uses GDCM for 8-bit JPEG only."""
    try:
        import gdcm
    except ImportError as error:
        raise RuntimeError("no pixel data handlers: gdcm is missing") from error
    reader = gdcm.ImageReader()
    reader.SetFileName(path)
    if not reader.Read():
        raise RuntimeError("GDCM cannot read it")
    # GDCM returns the bytes as text, one character for each byte.
    content = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    kind = "i2" if dataset.PixelRepresentation else "u2"
    return np.frombuffer(content, kind).reshape(dataset.Rows, dataset.Columns)


def stored_pixels(dataset: Dataset) -> np.ndarray:
    """Return the `pixel_array` with the used bits at the lower end of each word: old files use the upper end."""
    bits = int(dataset.BitsStored)
    spare = int(dataset.get("HighBit") or bits - 1) + 1 - bits
    if spare <= 0:
        return dataset.pixel_array
    # With the stated number of bits pydicom would take the lower ones.
    dataset.BitsStored = bits + spare
    pixels = dataset.pixel_array >> spare
    dataset.BitsStored = bits
    return pixels
