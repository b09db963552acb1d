# SPDX-License-Identifier: Apache-2.0
"""Parse DICOM files, in a process whose memory and time are limited."""

from __future__ import annotations

import zlib
from io import BytesIO

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset, read_partial, read_preamble
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from lungseg.io.content import Content
from lungseg.io.limits import MAX_BYTES, MAX_ELEMENTS, TOO_LARGE
from lungseg.utils.errors import LungsegError

# Bytes that are inflated at a time.
_STEP = 2**24


def parse_dicom(content: Content) -> Dataset:
    """Parse a file into a dataset that states its transfer syntax, even if the file does not.

    Raises:
        LungsegError: the header has more elements than any radiograph, or the file inflates to more bytes.
        Exception: pydicom may raise any exception on damaged data.
    """
    _check_inflated_size(content)
    elements = 0

    def count(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal elements
        elements += 1
        if elements > MAX_ELEMENTS:
            what = f"the DICOM header has more than {MAX_ELEMENTS} elements"
            raise LungsegError(what, content.path, "export it again", code="too-many-parts")
        return False

    dataset = read_partial(BytesIO(content.data), stop_when=count, force=True)
    if not dataset.file_meta.get("TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = native_syntax(dataset)
    return dataset


def encoding_of(dataset: Dataset) -> tuple[bool, bool]:
    """Return whether a parsed file has implicit value representations, and whether it is little-endian."""
    # pydicom 3, and pydicom 2.
    found = getattr(dataset, "original_encoding", None) or (dataset.is_implicit_VR, dataset.is_little_endian)
    return bool(found[0]), bool(found[1])


def native_syntax(dataset: Dataset) -> UID:
    """Return the transfer syntax of a parsed file if its pixels are not compressed."""
    implicit, little = encoding_of(dataset)
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else explicit


def parse_file_meta(file: BytesIO) -> Dataset:
    """Parse the group of file meta elements at the beginning of a file, and leave its position behind them.

    Raises:
        Exception: pydicom may raise any exception on damaged data.
    """
    read_preamble(file, force=True)
    # As pydicom finds the end of the group: its stated length may be missing or wrong.
    return read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)


def parse_head(head: bytes, last: int) -> tuple[Dataset, bool]:
    """Parse the elements up to a tag in the first bytes of a file, and return whether all of them are there.

    Deflated elements are not there.

    Raises:
        Exception: pydicom may raise any exception on damaged data.
    """
    meta = parse_file_meta(BytesIO(head))
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset(meta)
        return dataset, False
    complete = False

    def is_behind(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal complete
        complete |= bool(tag > last)
        return complete

    return read_partial(BytesIO(head), stop_when=is_behind, force=True), complete


def _check_inflated_size(content: Content) -> None:
    """Refuse a deflated file that inflates to more than any radiograph: pydicom inflates it whole, whatever its size.

    Bytes after the end of the compressed data do not count: DICOM pads data of odd length with NUL (PS3.5, A.5).
    """
    file = BytesIO(content.data)
    if parse_file_meta(file).get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    data = file.read()
    while data and not inflater.eof and total <= MAX_BYTES:
        total += len(inflater.decompress(data, _STEP))
        data = inflater.unconsumed_tail
    if total > MAX_BYTES:
        what = "the DICOM file inflates to more bytes than any radiograph has"
        raise LungsegError(what, content.path, TOO_LARGE, code="too-large")
