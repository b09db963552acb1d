# SPDX-License-Identifier: Apache-2.0
"""Recognise DICOM objects that lie beside the chest radiographs of a folder, without reading them whole."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lungseg.io.formats import HEAD_BYTES, format_of

if TYPE_CHECKING:
    from pydicom import Dataset

# Most headers state their object in the first kilobytes; the others are read whole by the reader process.
_HEAD_BYTES = 2**14


def companion_kind(path: Path) -> str:
    """Return which other object a file in a folder states, in words that follow "the file says", or an empty string.

    A file whose header cannot be read is not a companion: its reader will report the damage.
    """
    # Opening a pipe would wait for its writer for ever.
    if not path.is_file():
        return ""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
        if format_of(head[:HEAD_BYTES]) != "dicom":
            return ""
        with warnings.catch_warnings():
            # Its reader reports the oddities that matter.
            warnings.simplefilter("ignore")
            return _kind(path, head)
    except Exception:  # a damaged header can make pydicom raise any exception
        return ""


def _kind(path: Path, head: bytes) -> str:
    # Folders without DICOM files do not need pydicom.
    from lungseg.io.dicom.stated_object import stated_object

    return next(filter(None, map(stated_object, _headers(path, head))), "")


def _headers(path: Path, head: bytes) -> Iterator[Dataset]:
    """Yield the beginning of the header, and the whole one if the beginning says too little."""
    from lungseg.io.dicom.file import parse_head
    from lungseg.io.dicom.header_bytes import decode_header
    from lungseg.io.dicom.stated_object import LAST_TAG
    from lungseg.io.reading import read_source

    begun, complete = parse_head(head, LAST_TAG)
    yield begun
    if not complete:
        yield decode_header(read_source(path).header)
