# SPDX-License-Identifier: Apache-2.0
"""Overlays as DICOM secondary captures, which any viewer shows, through highdicom."""

from __future__ import annotations

import io
from os import PathLike

import numpy as np
from pydicom import Dataset

from lungseg.io.dicom.derived import Algorithm, derived_uids, read_reference
from lungseg.utils.errors import LungsegError, first_line

_REMEDY = "leave out the overlay of this file"


def encode_dicom_overlay(picture: np.ndarray, source: str | PathLike, algorithm: Algorithm) -> bytes:
    """Return the bytes of a secondary capture (RGB, uncompressed) that shows what was found on a radiograph.

    It refers to the source and repeats what that says of the patient and the study. The same source and weights give
    the same UIDs.

    Args:
        picture: (H, W, 3) uint8, see :func:`lungseg.io.draw_overlay`.
        source: the DICOM file that it shows.
        algorithm: what found it.

    Raises:
        LungsegError: the source is no DICOM file, or lacks what has to be repeated.
    """
    reference = read_reference(source, "overlay", _REMEDY)
    file = io.BytesIO()
    try:
        _capture(picture, reference, algorithm).save_as(file)
    except Exception as error:  # whatever an odd header leads highdicom to
        raise LungsegError(f"no overlay can be made of it ({first_line(error)})", source, _REMEDY) from error
    return file.getvalue()


def _capture(picture: np.ndarray, source: Dataset, algorithm: Algorithm) -> Dataset:
    import highdicom
    from pydicom.uid import ExplicitVRLittleEndian

    capture = highdicom.sc.SCImage.from_ref_dataset(
        source,
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        **derived_uids("overlay ", source, algorithm),
        series_number=1001,
        instance_number=1,
        manufacturer="lungseg",
        manufacturer_model_name="lungseg",
        software_versions=algorithm.software,
        device_serial_number=algorithm.weights[:16],
        series_description="Lungs, overlay",
        # Replaced below by what the source says, if anything, which need not be what highdicom asks for.
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        # highdicom knows fewer of them than there are; ours are ASCII, so that the source's will do.
        specific_character_set=None,
    )
    if "SpecificCharacterSet" in source:
        capture.SpecificCharacterSet = source.SpecificCharacterSet
    capture.PatientOrientation = source.get("PatientOrientation") or ""
    # Type 2C: of a chest, none.
    capture.Laterality = source.get("Laterality") or ""
    capture.ConversionType = "WSD"
    if source.get("BurnedInAnnotation"):
        capture.BurnedInAnnotation = source.BurnedInAnnotation
    capture.DerivationDescription = f"Lungs by {algorithm.name} {algorithm.version}+{algorithm.weights[:12]}"
    shown = Dataset()
    shown.ReferencedSOPClassUID, shown.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    capture.SourceImageSequence = [shown]
    return capture
