# SPDX-License-Identifier: Apache-2.0
"""Decode pixel data in this process: what the safe decoders and GDCM do not cover."""

from __future__ import annotations

import numpy as np
from pydicom import Dataset
from pydicom.uid import (
    JPEGExtended12Bit,
)


def decode_here(dataset: Dataset, path: str) -> np.ndarray:
    """Return the pixels of compressed data as they are stored, by decoders that may end the process.

    Raises:
        Exception: whatever a decoder raises, or that there is none.
    """
    if dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit and dataset.BitsAllocated > 8:
        return _extended_jpeg(dataset, path)
    return _justified(dataset)


def _extended_jpeg(dataset: Dataset, path: str) -> np.ndarray:
    """JPEG of 12 bits, by GDCM itself: pydicom lets it do those of 8 alone."""
    try:
        import gdcm
    except ImportError as error:
        raise RuntimeError("no pixel data handlers: gdcm is missing") from error
    reader = gdcm.ImageReader()
    reader.SetFileName(path)
    if not reader.Read():
        raise RuntimeError("GDCM cannot read it")
    # Its text has a character for each byte.
    content = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    kind = "i2" if dataset.PixelRepresentation else "u2"
    return np.frombuffer(content, kind).reshape(dataset.Rows, dataset.Columns)


def _justified(dataset: Dataset) -> np.ndarray:
    """Return the `pixel_array`; old files have the bits in use at the upper end of each word."""
    bits = int(dataset.BitsStored)
    spare = int(dataset.get("HighBit") or bits - 1) + 1 - bits
    if spare <= 0:
        return dataset.pixel_array
    # Told of these bits alone, pydicom would take them from the lower end.
    dataset.BitsStored = bits + spare
    pixels = dataset.pixel_array >> spare
    dataset.BitsStored = bits
    return pixels
