# SPDX-License-Identifier: Apache-2.0
"""DICOM Segmentation objects of one radiograph, through highdicom."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from os import PathLike

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from pydicom.valuerep import DA, TM

from lungseg.errors import LungsegError, first_line
from lungseg.images.formats import HEAD_BYTES, format_of

_REMEDY = "leave out dicom-seg for this file"
# SNOMED CT, and the overlays' colours in CIELab (PS3.3, C.10.7.1.1).
_SEGMENTS = {
    1: ("Right lung", "3341006", (69.8, -12.0, -34.8)),
    2: ("Left lung", "44029006", (70.6, 16.5, 74.7)),
}
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
# pixels are the source's, whose own attributes tell what is known of their size.
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


def encode_dicom_seg(labels: np.ndarray, source: str | PathLike, algorithm: Algorithm) -> bytes:
    """Return the bytes of a DICOM Segmentation (binary; two frames: right lung, left lung) of a radiograph.

    It refers to the source, pixel for pixel, and repeats what that says of the patient and the study, but states no
    spacing of its own. The same labels of the same source by the same algorithm have the same UIDs.

    Args:
        labels: (H, W) uint8 of the source's size: 0 background, 1 right lung, 2 left lung.
        source: the DICOM file that was segmented.
        algorithm: what made the labels.

    Raises:
        LungsegError: the source is no DICOM file, or lacks what a segmentation has to repeat.
    """
    reference = _reference(_header(source))
    missing = [name for name in _TYPE_1 if not reference.get(name)]
    if missing:
        raise LungsegError(f"the DICOM file has no {missing[0]}, so that no DICOM SEG can refer to it", source, _REMEDY)
    file = io.BytesIO()
    try:
        _segmentation(labels, reference, algorithm).save_as(file)
    except Exception as error:  # whatever an odd header leads highdicom to
        what = f"no DICOM SEG can be made of a {reference.SOPClassUID.name} ({first_line(error)})"
        raise LungsegError(what, source, _REMEDY) from error
    return file.getvalue()


def _header(source: str | PathLike) -> Dataset:
    try:
        with open(source, "rb") as file:
            head = file.read(HEAD_BYTES)
        if format_of(head) == "dicom":
            return dcmread(source, stop_before_pixels=True, force=True)
    except Exception as error:  # it could be read before
        raise LungsegError(f"the file cannot be read again ({first_line(error)})", source, "check the disk") from None
    raise LungsegError("this is no DICOM file, so that no DICOM SEG can refer to it", source, _REMEDY)


def _reference(source: Dataset) -> Dataset:
    """Turn the source's header into one that highdicom takes: what must be there is, and what is damaged is not."""
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


def _segmentation(labels: np.ndarray, source: Dataset, algorithm: Algorithm) -> Dataset:
    import highdicom
    from highdicom.color import CIELabColor
    from pydicom.sr.codedict import Code, codes

    identification = highdicom.AlgorithmIdentificationSequence(
        name=algorithm.name,
        family=codes.cid7162.ArtificialIntelligence,
        version=f"{algorithm.version}+{algorithm.weights[:12]}",
        source="lungseg",
        parameters={"weights_sha256": algorithm.weights},
    )
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=Code(code, "SCT", name),
            algorithm_type="AUTOMATIC",
            algorithm_identification=identification,
            display_color=CIELabColor(*colour),
        )
        for number, (name, code, colour) in _SEGMENTS.items()
    ]
    made_of = [source.SOPInstanceUID, *vars(algorithm).values(), hashlib.sha256(labels.tobytes()).hexdigest()]
    segmentation = highdicom.seg.Segmentation(
        source_images=[source],
        pixel_array=labels,
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=generate_uid(entropy_srcs=["series", *made_of]),
        series_number=1000,
        sop_instance_uid=generate_uid(entropy_srcs=["instance", *made_of]),
        instance_number=1,
        manufacturer="lungseg",
        manufacturer_model_name="lungseg",
        software_versions=algorithm.software,
        device_serial_number=algorithm.weights[:16],
        content_label="LUNGS",
        content_description="Visible lung fields",
        series_description="Lungs",
        # Both frames are always there: a lung that was not found is an empty one.
        omit_empty_frames=False,
        # highdicom knows fewer of them than there are; ours are ASCII, so that the source's will do.
        specific_character_set=None,
    )
    if "SpecificCharacterSet" in source:
        segmentation.SpecificCharacterSet = source.SpecificCharacterSet
    segmentation.PatientOrientation = source.get("PatientOrientation") or ""
    return segmentation
