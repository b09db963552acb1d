# SPDX-License-Identifier: Apache-2.0
"""Recognise DICOM objects in a study that are not images: reports, presentation states, segmentations."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

# DICOM PS3.4, B.5: waveforms, presentation states, from raw data to segmentations, value mappings, surfaces, structured
# reports and key object selections, encapsulated documents.
_GROUPS = ("9.", "11.", "66", "67", "68.", "88.", "104.")
# The group of file meta elements has a few hundred bytes; no stated length makes the parser read more.
_META_BYTES = 2**14
# A DICOMDIR, which lists the files of a disc, may have any name.
_PREFIXES = ("1.2.840.10008.1.3.10", *(f"1.2.840.10008.5.1.4.1.1.{group}" for group in _GROUPS))


def is_non_image(path: Path) -> bool:
    """Return whether a file is such an object, as far as its header can be read."""
    # Opening a pipe would wait for its writer for ever.
    if not path.is_file():
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(_META_BYTES)
        if head[128:132] != b"DICM":
            return False
        # Folders without DICOM files do not need pydicom.
        from lungseg.io.dicom.file import parse_file_meta

        kind = parse_file_meta(BytesIO(head)).get("MediaStorageSOPClassUID")
    except Exception:  # the reader of the file will report the damage
        return False
    return str(kind or "").startswith(_PREFIXES)
