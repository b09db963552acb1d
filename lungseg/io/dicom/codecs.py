# SPDX-License-Identifier: Apache-2.0
"""Decode pixel data with the decoders of pydicom and with GDCM."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import JPEGExtended12Bit, SecondaryCaptureImageStorage, generate_uid

_PIXELS = (
    *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelData"),
)


def decode_compressed(dataset: Dataset) -> np.ndarray:
    """Return the stored pixels of compressed data, with decoders that may end the process.

    Raises:
        RuntimeError: there is no decoder.
        Exception: a decoder may raise any exception on damaged data.
    """
    if dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit and dataset.BitsAllocated > 8:
        return _extended_jpeg(dataset)
    return stored_pixels(dataset)


def _extended_jpeg(dataset: Dataset) -> np.ndarray:
    """Decode 12-bit JPEG with GDCM directly: pydicom uses GDCM for 8-bit JPEG only."""
    try:
        import gdcm
    except ImportError as error:
        raise RuntimeError("no pixel data handlers: gdcm is missing") from error
    # GDCM takes the name of a file only. The folder may be read by this user alone.
    with TemporaryDirectory(prefix="lungseg-") as folder:
        path = Path(folder, "radiograph.dcm")
        _write_alone(dataset, path)
        return _read_with_gdcm(gdcm, path, dataset)


def _write_alone(dataset: Dataset, path: Path) -> None:
    """Write a file with the pixels and what describes them: attributes of the original may be missing or damaged."""
    alone = Dataset()
    for name in _PIXELS:
        if name in dataset:
            alone[name] = dataset[name]
    alone["PixelData"].VR, alone["PixelData"].is_undefined_length = "OB", True
    alone.SOPClassUID, alone.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    alone.file_meta = FileMetaDataset()
    alone.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    alone.file_meta.MediaStorageSOPClassUID = alone.SOPClassUID
    alone.file_meta.MediaStorageSOPInstanceUID = alone.SOPInstanceUID
    # As pydicom 2 wants to know it.
    alone.is_little_endian, alone.is_implicit_VR = True, False
    alone.save_as(path, write_like_original=False)


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
