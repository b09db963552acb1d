# SPDX-License-Identifier: Apache-2.0
"""DICOM Segmentation objects of one radiograph, through highdicom."""

from __future__ import annotations

import hashlib
import io
from os import PathLike

import numpy as np
from pydicom import Dataset

from lungseg.io.dicom.derived import Algorithm, derived_uids, read_reference
from lungseg.io.dicom.header import is_flipped
from lungseg.utils.errors import LungsegError, first_line

_REMEDY = "leave out dicom-seg for this file"
# SNOMED CT, and the overlays' colours in CIELab (PS3.3, C.10.7.1.1).
_SEGMENTS = {
    1: ("Right lung", "3341006", (69.8, -12.0, -34.8)),
    2: ("Left lung", "44029006", (70.6, 16.5, 74.7)),
}


class MirroredError(LungsegError):
    """The radiograph is mirrored: the names of the lungs, which go by the picture, would contradict its header."""


def encode_dicom_seg(
    labels: np.ndarray, source: str | PathLike, algorithm: Algorithm, *, one_per_source: bool = False
) -> bytes:
    """Return the bytes of a DICOM Segmentation (binary; two frames: right lung, left lung) of a radiograph.

    It refers to the source, pixel for pixel, and repeats what that says of the patient and the study, but states no
    spacing of its own. The same labels of the same source by the same algorithm have the same UIDs.

    Args:
        labels: (H, W) uint8 of the source's size: 0 background, 1 right lung, 2 left lung.
        source: the DICOM file that was segmented.
        algorithm: what made the labels.
        one_per_source: the UIDs depend on the source and the weights alone, not on the labels, of which the number of
            threads may change a pixel: an archive then keeps one segmentation however often it is made.

    Raises:
        MirroredError: the source states that it is mirrored.
        LungsegError: it is no DICOM file, or lacks what a segmentation has to repeat.
    """
    reference = read_reference(source, "DICOM SEG", _REMEDY)
    if is_flipped(reference):
        raise MirroredError("its PatientOrientation says that it is mirrored", source, _REMEDY)
    file = io.BytesIO()
    try:
        _segmentation(labels, reference, algorithm, one_per_source).save_as(file)
    except Exception as error:  # whatever an odd header leads highdicom to
        what = f"no DICOM SEG can be made of a {reference.SOPClassUID.name} ({first_line(error)})"
        raise LungsegError(what, source, _REMEDY) from error
    return file.getvalue()


def _segmentation(labels: np.ndarray, source: Dataset, algorithm: Algorithm, one_per_source: bool) -> Dataset:
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
    more = [] if one_per_source else [algorithm.software, hashlib.sha256(labels.tobytes()).hexdigest()]
    segmentation = highdicom.seg.Segmentation(
        source_images=[source],
        pixel_array=labels,
        segmentation_type="BINARY",
        segment_descriptions=segments,
        **derived_uids("", source, algorithm, *more),
        series_number=1000,
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
