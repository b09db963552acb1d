# SPDX-License-Identifier: Apache-2.0
"""The header of a DICOM file in a bounded number of bytes, which another process can parse without risk."""

from __future__ import annotations

from io import BytesIO

from pydicom import Dataset
from pydicom.charset import convert_encodings
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_data_element
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from lungseg.io.dicom.file import encoding_of

# Of one element, and of the header; larger elements hold tables, icons and the like, which nothing repeats.
_ELEMENT_BYTES = 2**16
HEADER_BYTES = 2**20
# Groups of overlays, and the first one of pixels.
_OVERLAYS, _PIXELS = range(0x6000, 0x6100), 0x7FE0
_IMPLICIT, _LITTLE = 1, 2
_UID_BYTES = 64


def encode_header(dataset: Dataset) -> bytes:
    """Return the elements of a parsed file, as they are stored, without pixels, private and large elements.

    The first byte states the encoding, the second the length of the file's MediaStorageSOPClassUID, which follows.

    Args:
        dataset: a file whose elements have not been read or changed yet, so that their bytes stay as they are.
    """
    implicit, little = encoding_of(dataset)
    kind = str(dataset.file_meta.get("MediaStorageSOPClassUID") or "").encode("ascii", "replace")[:_UID_BYTES]
    parts, size = [bytes((implicit * _IMPLICIT + little * _LITTLE, len(kind))), kind], 0
    encodings = convert_encodings(dataset.get("SpecificCharacterSet") or "ISO_IR 6")
    for tag in sorted(dataset.keys()):
        if tag.is_private or tag.group in _OVERLAYS or tag.group >= _PIXELS:
            continue
        element = _encode_element(dataset, tag, implicit, little, encodings)
        if len(element) <= _ELEMENT_BYTES and size + len(element) <= HEADER_BYTES:
            parts.append(element)
            size += len(element)
    return b"".join(parts)


def decode_header(header: bytes) -> Dataset:
    """Return the dataset that `encode_header` encoded.

    Raises:
        Exception: pydicom may raise any exception on other bytes.
    """
    implicit, little, end = bool(header[0] & _IMPLICIT), bool(header[0] & _LITTLE), 2 + header[1]
    dataset = read_dataset(BytesIO(header[end:]), implicit, little)
    dataset.file_meta = FileMetaDataset()
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    if header[2:end]:
        dataset.file_meta.MediaStorageSOPClassUID = UID(header[2:end].decode("ascii", "replace"))
    return dataset


def _encode_element(dataset: Dataset, tag: BaseTag, implicit: bool, little: bool, encodings: list[str]) -> bytes:
    """Return the bytes of one element; none if it cannot be written."""
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = implicit, little
    try:
        # Elements that nobody has read yet are bytes, and are written as they are.
        write_data_element(file, dataset.get_item(tag), encodings)
    except Exception:  # a damaged element can make pydicom raise any exception
        return b""
    return bytes(file.getvalue())
