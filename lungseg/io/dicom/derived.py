# SPDX-License-Identifier: Apache-2.0
"""Parts of DICOM objects that are derived from a radiograph: its repeated header, the algorithm, stable UIDs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.uid import generate_uid
from pydicom.valuerep import DA, TM

from lungseg.io.dicom.header_bytes import decode_header
from lungseg.io.radiograph import SourceFile
from lungseg.utils.errors import LungsegError

_TYPE_1 = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Attributes that every object must have, possibly empty, with a function that raises for an invalid value.
_TYPE_2: dict[str, Callable[[Any], Any]] = {
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
# The Pixel Measures of a segmentation refer to the patient and include a thickness, which a projection does not have.
# Its pixels, like the pixels of an overlay, are the source's: the source's own attributes state what is known of their
# size.
_GEOMETRY = ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID")


@dataclass(frozen=True)
class Algorithm:
    """The algorithm that made a segmentation.

    Attributes:
        name: its name.
        version: its version, at most 51 characters; a segmentation also states the weights.
        weights: SHA-256 of its weight file, in hex.
        software: the version of the program that runs it.
    """

    name: str
    version: str
    weights: str
    software: str


def reference_header(source: SourceFile | None, product: str, remedy: str) -> Dataset:
    """Return the header of a DICOM file in a form that highdicom accepts: complete, and without damaged attributes.

    Args:
        source: the file of the radiograph, as it was read.
        product: name of the derived object, for errors.
        remedy: what the user can do if it cannot be made.

    Raises:
        LungsegError: it is not a DICOM file, or lacks an attribute that `product` must repeat.
    """
    if source is None or source.format != "dicom":
        what = f"this is not a DICOM file, so that no {product} can refer to it"
        raise LungsegError(what, source.path if source else None, remedy, code="not-dicom")
    reference = _repaired(decode_header(source.header))
    missing = [name for name in _TYPE_1 if not reference.get(name)]
    if missing:
        what = f"the DICOM file has no {missing[0]}, so that no {product} can refer to it"
        raise LungsegError(what, source.path, remedy, code="attribute-missing")
    return reference


def derived_uids(kind: str, source: Dataset, algorithm: Algorithm, *more: str) -> tuple[str, str]:
    """Return the SeriesInstanceUID and the SOPInstanceUID of an object that an algorithm derives from a source.

    The same source, weights and `more` give the same UIDs: an archive keeps one object if it is made twice.

    Args:
        kind: distinguishes the objects that are derived from one source; empty for a segmentation.
        source: the header of the radiograph.
        algorithm: the algorithm.
        more: anything else that the result depends on.
    """
    made_of = [source.SOPInstanceUID, algorithm.name, algorithm.version, algorithm.weights, *more]
    series = generate_uid(entropy_srcs=[f"{kind}series", *made_of])
    return series, generate_uid(entropy_srcs=[f"{kind}instance", *made_of])


def described(text: str, doubts: Sequence[str]) -> str:
    """Return the description of a series or a content, which says that it is for research, and names the doubts."""
    return marked(f"{text}, research use only", doubts)


def comment(algorithm: Algorithm) -> str:
    """Return the comment of an image that an algorithm made."""
    made_by = f"lungseg {algorithm.software}, {algorithm.name} {algorithm.version}, weights {algorithm.weights[:12]}"
    return f"For research use only; not a medical device. Made by {made_by}."


def marked(text: str, doubts: Sequence[str]) -> str:
    """Return a description, with the names of the doubts about the result that it describes: at most 64 characters."""
    if not doubts:
        return text
    more = f"{text}, doubtful: {', '.join(doubts)}"
    # The longest text that the value representation LO holds.
    return more if len(more) <= 64 else f"{text}, doubtful"


def _repaired(source: Dataset) -> Dataset:
    """Remove damaged attributes and the geometry, and add missing attributes of type 2."""
    for tag in list(source.keys()):
        try:
            source[tag]
        except Exception:  # the value is not valid for its representation
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
