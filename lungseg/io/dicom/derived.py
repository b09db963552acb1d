# SPDX-License-Identifier: Apache-2.0
"""What DICOM objects that are made of a radiograph repeat of it, and how they are named."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from pydicom.valuerep import DA, TM

from lungseg.io.formats import HEAD_BYTES, format_of
from lungseg.utils.errors import LungsegError, first_line

_TYPE_1 = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Attributes that every object has to have, with a value or empty, and what a value has to be.
_TYPE_2 = {
    "PatientID": str,
    "PatientName": str,
    "PatientBirthDate": DA,
    "PatientSex": {"M": "M", "F": "F", "O": "O"}.__getitem__,
    "AccessionNumber": str,
    "StudyID": str,
    "StudyDate": DA,
    "StudyTime": TM,
    "ReferringPhysicianName": str,
    "Modality": str,
}
# A segmentation's Pixel Measures hold in the patient and come with a thickness, which a projection has not. Its
# pixels, as an overlay's, are the source's, whose own attributes tell what is known of their size.
_GEOMETRY = ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID")


@dataclass(frozen=True)
class Algorithm:
    """What made a segmentation.

    Attributes:
        name: what it is called.
        version: which one it is, at most 51 characters; a segmentation states the weights with it.
        weights: SHA-256 of the file of its weights, in hex.
        software: version of the program that runs it.
    """

    name: str
    version: str
    weights: str
    software: str


def read_reference(source: str | PathLike, product: str, remedy: str) -> Dataset:
    """Return the header of a DICOM file as highdicom takes it: what must be there is, and what is damaged is not.

    Args:
        source: the file of the radiograph.
        product: what is to be made of it, for the error's sentence.
        remedy: what the user can do where it cannot be made.

    Raises:
        LungsegError: it is no DICOM file, or lacks what `product` has to repeat.
    """
    reference = _repaired(_header(source, product, remedy))
    missing = [name for name in _TYPE_1 if not reference.get(name)]
    if missing:
        raise LungsegError(f"the DICOM file has no {missing[0]}, so that no {product} can refer to it", source, remedy)
    return reference


def derived_uids(kind: str, source: Dataset, algorithm: Algorithm, *more: str) -> dict[str, str]:
    """Return `series_instance_uid` and `sop_instance_uid` of what an algorithm makes of a source.

    The same source, weights and `more` give the same UIDs: an archive keeps one of what is made twice.

    Args:
        kind: tells apart what is made of one source; empty for a segmentation.
        source: names the radiograph by its SOPInstanceUID.
        algorithm: what makes it.
        more: what else the result depends on.
    """
    made_of = [source.SOPInstanceUID, algorithm.name, algorithm.version, algorithm.weights, *more]
    return {
        "series_instance_uid": generate_uid(entropy_srcs=[f"{kind}series", *made_of]),
        "sop_instance_uid": generate_uid(entropy_srcs=[f"{kind}instance", *made_of]),
    }


def _header(source: str | PathLike, product: str, remedy: str) -> Dataset:
    try:
        with open(source, "rb") as file:
            head = file.read(HEAD_BYTES)
        if format_of(head) == "dicom":
            return dcmread(source, stop_before_pixels=True, force=True)
    except Exception as error:  # it could be read before
        raise LungsegError(f"the file cannot be read again ({first_line(error)})", source, "check the disk") from None
    raise LungsegError(f"this is no DICOM file, so that no {product} can refer to it", source, remedy)


def _repaired(source: Dataset) -> Dataset:
    for tag in list(source.keys()):
        try:
            source[tag]
        except Exception:  # no value of its kind
            del source[tag]
    for name, convert in _TYPE_2.items():
        value = source.get(name)
        try:
            good = value is not None and convert(value) is not None
        except (KeyError, TypeError, ValueError):
            good = False
        if not good:
            setattr(source, name, "")
    for name in _GEOMETRY:
        if name in source:
            delattr(source, name)
    return source
