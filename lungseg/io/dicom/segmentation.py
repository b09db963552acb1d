# SPDX-License-Identifier: Apache-2.0
"""Encode a label map as a DICOM Segmentation of a radiograph, with highdicom."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

import numpy as np
from pydicom import Dataset

from lungseg.io.dicom.derived import Algorithm, comment, derived_uids, described, marked, reference_header
from lungseg.io.dicom.header import is_flipped
from lungseg.io.radiograph import SourceFile
from lungseg.utils.errors import LungsegError, first_line

_REMEDY = "leave out dicom-seg for this file"
# SNOMED CT codes, and the colours of the overlays in CIELab (PS3.3, C.10.7.1.1).
_SEGMENTS = {
    1: ("Right lung", "3341006", (69.8, -12.0, -34.8)),
    2: ("Left lung", "44029006", (70.6, 16.5, 74.7)),
    3: ("Heart", "80891009", (61.5, 40.3, -14.0)),
}
_EXTENTS = {"visible": "Visible lung fields", "full": "Lungs, also behind the heart"}


class MirroredError(LungsegError):
    """The header states that the radiograph is mirrored, which contradicts the sides of the lungs in the picture."""


def encode_dicom_seg(
    labels: np.ndarray,
    source: SourceFile | None,
    algorithm: Algorithm,
    *,
    one_per_source: bool = False,
    extent: str = "visible",
    heart: np.ndarray | None = None,
    doubts: Sequence[str] = (),
) -> bytes:
    """Return the bytes of a DICOM Segmentation (binary; a frame each: right lung, left lung, heart) of a radiograph.

    The object refers to the source pixel by pixel and repeats its patient and study, but states no spacing of its own.
    The same labels of the same source by the same algorithm have the same UIDs.

    Args:
        labels: (H, W) uint8 with the size of the source: 0 background, 1 right lung, 2 left lung.
        source: the DICOM file that was segmented, as it was read.
        algorithm: the algorithm that made the labels.
        one_per_source: the UIDs depend only on the source and the weights, not on the labels, where the number of
            threads may change a pixel. An archive then keeps one segmentation, however often it is made.
        extent: of the lungs, "visible" or "full": each segment and the description of the content state it.
        heart: (H, W) bool, for a segment of its own, which may overlap the lungs; None for no such segment.
        doubts: names of the doubts about the labels, which descriptions and the segments' labels then state.

    Raises:
        MirroredError: the source states that it is mirrored.
        LungsegError: it is not a DICOM file, or lacks an attribute that a segmentation must repeat.
    """
    reference = reference_header(source, "DICOM SEG", _REMEDY)
    assert source is not None
    if is_flipped(reference):
        what = "its PatientOrientation says that it is mirrored"
        raise MirroredError(what, source.path, _REMEDY, code="mirrored-header")
    file = io.BytesIO()
    try:
        _segmentation(labels, reference, algorithm, one_per_source, extent, heart, doubts).save_as(file)
    except Exception as error:  # an odd header makes highdicom raise any exception
        what = f"no DICOM SEG can be made of a {reference.SOPClassUID.name} ({first_line(error)})"
        raise LungsegError(what, source.path, _REMEDY, code="header-unsupported") from error
    return file.getvalue()


def _segmentation(
    labels: np.ndarray,
    source: Dataset,
    algorithm: Algorithm,
    one_per_source: bool,
    extent: str,
    heart: np.ndarray | None,
    doubts: Sequence[str],
) -> Dataset:
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
            segment_label=marked(name, doubts),
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=Code(code, "SCT", name),
            algorithm_type="AUTOMATIC",
            algorithm_identification=identification,
            display_color=CIELabColor(*colour),
        )
        for number, (name, code, colour) in _SEGMENTS.items()
        if number in (1, 2) or heart is not None
    ]
    for segment in segments[:2]:
        segment.SegmentDescription = _EXTENTS[extent]
    masks = np.stack([labels == 1, labels == 2, *([] if heart is None else [heart])], axis=-1)[None]
    more = [] if one_per_source else [algorithm.software, hashlib.sha256(masks.tobytes()).hexdigest()]
    if extent != "visible" or heart is not None:
        more += [extent, "heart" if heart is not None else "lungs"]
    series_uid, instance_uid = derived_uids("", source, algorithm, *more)
    segmentation = highdicom.seg.Segmentation(
        source_images=[source],
        pixel_array=masks,
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=series_uid,
        sop_instance_uid=instance_uid,
        series_number=1000,
        instance_number=1,
        manufacturer="lungseg",
        manufacturer_model_name="lungseg",
        software_versions=algorithm.software,
        device_serial_number=algorithm.weights[:16],
        content_label="LUNGS",
        content_description=described(_EXTENTS[extent], doubts),
        series_description=described("Lungs", doubts),
        # Always two frames: a lung that was not found is an empty frame.
        omit_empty_frames=False,
        # highdicom does not support every character set. Our texts are ASCII, so that the set of the source is enough.
        specific_character_set=None,
    )
    if "SpecificCharacterSet" in source:
        segmentation.SpecificCharacterSet = source.SpecificCharacterSet
    segmentation.ImageComments = comment(algorithm)
    segmentation.PatientOrientation = source.get("PatientOrientation") or ""
    return segmentation
