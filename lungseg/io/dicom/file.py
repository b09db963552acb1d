# SPDX-License-Identifier: Apache-2.0
"""Open DICOM files."""

from __future__ import annotations

import zlib
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from lungseg.io.limits import MAX_BYTES, TOO_LARGE
from lungseg.utils.errors import LungsegError

# Bytes that are inflated at a time.
_STEP = 2**24


def open_dicom(path: Path, stop_before_pixels: bool = False) -> Dataset:
    """Read a file into a dataset that states its transfer syntax and used bits, even if the file does not.

    Raises:
        LungsegError: it is deflated and inflates to more than any radiograph.
        Exception: pydicom may raise any exception on damaged data.
    """
    _check_inflated_size(path)
    dataset = pydicom.dcmread(path, force=True, stop_before_pixels=stop_before_pixels)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = getattr(dataset, "original_encoding", None) or (
            dataset.is_implicit_VR,  # pydicom 2
            dataset.is_little_endian,
        )
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    if dataset.get("BitsStored") is None and dataset.get("BitsAllocated") is not None:
        highest = dataset.get("HighBit")
        dataset.BitsStored = dataset.BitsAllocated if highest is None else highest + 1
    return dataset


def _check_inflated_size(path: Path) -> None:
    """Refuse a deflated file that inflates to more than any radiograph: pydicom inflates it whole, whatever its size.

    Bytes after the end of the compressed data do not count: DICOM pads data of odd length with NUL (PS3.5, A.5).
    """
    with open(path, "rb") as file:
        read_preamble(file, force=True)
        # Find the end of the group as pydicom does: its stated length may be missing or wrong.
        meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return
        inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
        data = file.read()
    while data and not inflater.eof and total <= MAX_BYTES:
        total += len(inflater.decompress(data, _STEP))
        data = inflater.unconsumed_tail
    if total > MAX_BYTES:
        what = "the DICOM file inflates to more bytes than any radiograph has"
        raise LungsegError(what, path, TOO_LARGE, code="too-large")
