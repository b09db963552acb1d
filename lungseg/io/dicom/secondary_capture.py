# SPDX-License-Identifier: Apache-2.0
"""Encode an overlay as a DICOM secondary capture, which every viewer shows, with highdicom."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from pydicom import Dataset

from lungseg.io.dicom.derived import Algorithm, comment, derived_uids, described, reference_header
from lungseg.io.radiograph import SourceFile
from lungseg.utils.errors import LungsegError, first_line

_REMEDY = "leave out the overlay of this file"


def encode_dicom_overlay(
    picture: np.ndarray, source: SourceFile | None, algorithm: Algorithm, *, doubts: Sequence[str] = ()
) -> bytes:
    """Return the bytes of a secondary capture (RGB, uncompressed) of a radiograph with the outlines of its lungs.

    The object refers to the source and repeats its patient and study. The same source and weights give the same UIDs.

    Args:
        picture: (H, W, 3) uint8, see :func:`lungseg.io.draw_overlay`.
        source: the DICOM file of the radiograph, as it was read.
        algorithm: the algorithm that found the lungs.
        doubts: names of the doubts about the lungs, which the description then states.

    Raises:
        LungsegError: the source is not a DICOM file, or lacks an attribute that must be repeated.
    """
    reference = reference_header(source, "overlay", _REMEDY)
    assert source is not None
    file = io.BytesIO()
    try:
        _capture(picture, reference, algorithm, doubts).save_as(file)
    except Exception as error:  # an odd header makes highdicom raise any exception
        what = f"no overlay can be made of it ({first_line(error)})"
        raise LungsegError(what, source.path, _REMEDY, code="header-unsupported") from error
    return file.getvalue()


def _capture(picture: np.ndarray, source: Dataset, algorithm: Algorithm, doubts: Sequence[str]) -> Dataset:
    import highdicom
    from pydicom.uid import ExplicitVRLittleEndian

    series_uid, instance_uid = derived_uids("overlay ", source, algorithm)
    capture: Dataset = highdicom.sc.SCImage.from_ref_dataset(
        source,
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        series_instance_uid=series_uid,
        sop_instance_uid=instance_uid,
        series_number=1001,
        instance_number=1,
        manufacturer="lungseg",
        manufacturer_model_name="lungseg",
        software_versions=algorithm.software,
        device_serial_number=algorithm.weights[:16],
        series_description=described("Lungs, overlay", doubts),
        # highdicom needs a value here; the value of the source, which it might refuse, replaces it below.
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        # highdicom does not support every character set. Our texts are ASCII, so that the set of the source is enough.
        specific_character_set=None,
    )
    if "SpecificCharacterSet" in source:
        capture.SpecificCharacterSet = source.SpecificCharacterSet
    capture.PatientOrientation = source.get("PatientOrientation") or ""
    # Type 2C: empty for a chest, which is not a paired body part.
    capture.Laterality = source.get("Laterality") or ""
    capture.ConversionType = "WSD"
    capture.ImageComments = comment(algorithm)
    if source.get("BurnedInAnnotation"):
        capture.BurnedInAnnotation = source.BurnedInAnnotation
    capture.DerivationDescription = f"Lungs by {algorithm.name} {algorithm.version}+{algorithm.weights[:12]}"
    shown = Dataset()
    shown.ReferencedSOPClassUID, shown.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    capture.SourceImageSequence = [shown]
    return capture
