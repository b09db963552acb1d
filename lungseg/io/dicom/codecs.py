# SPDX-License-Identifier: Apache-2.0
"""Decode pixel data with the decoders of pydicom and with GDCM."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.uid import JPEGExtended12Bit


def decode_compressed(dataset: Dataset, data: bytes) -> np.ndarray:
    """Return the stored pixels of compressed data, with decoders that may end the process.

    Args:
        dataset: the parsed file.
        data: its bytes.

    Raises:
        RuntimeError: there is no decoder.
        Exception: a decoder may raise any exception on damaged data.
    """
    if dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit and dataset.BitsAllocated > 8:
        return _extended_jpeg(dataset, data)
    return stored_pixels(dataset)


def _extended_jpeg(dataset: Dataset, data: bytes) -> np.ndarray:
    """Decode 12-bit JPEG with GDCM directly: pydicom uses GDCM for 8-bit JPEG only."""
    try:
        import gdcm
    except ImportError as error:
        raise RuntimeError("no pixel data handlers: gdcm is missing") from error
    # GDCM takes the name of a file only. The folder may be read by this user alone.
    with TemporaryDirectory(prefix="lungseg-") as folder:
        path = Path(folder, "radiograph.dcm")
        path.write_bytes(data)
        return _read_with_gdcm(gdcm, path, dataset)


def _read_with_gdcm(gdcm: Any, path: Path, dataset: Dataset) -> np.ndarray:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
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
