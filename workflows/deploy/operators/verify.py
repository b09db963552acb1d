# SPDX-License-Identifier: Apache-2.0
"""Read the written files back before anyone uses them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread

from lungseg.io.dicom.derived import reference_header
from lungseg.utils.errors import LungsegError
from lungseg.workflows.deploy.operators.study_file_operator import StudyFileOperator
from lungseg.workflows.deploy.study_file import StudyFile

# A result has the same values as its source; otherwise an archive would file it under another patient or study.
CARRIED_OVER = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)


class VerifyOperator(StudyFileOperator):
    """Fail a file whose results do not hold its mask, its overlay, or the patient and the study of their source."""

    def is_needed(self, study_file: StudyFile) -> bool:
        """Return whether anything was written."""
        return bool(study_file.files)

    def process(self, study_file: StudyFile) -> None:
        """Compare each result with the values in memory and with the source."""
        assert study_file.prediction is not None
        source = reference_header(study_file.prediction.radiograph.source, "result", "check the disk")
        for kind, file in study_file.files.items():
            fault = _find_fault(kind, file, study_file, source)
            if fault:
                what, remedy = f"the {kind} that was written {fault}", "check the disk and run again"
                raise LungsegError(what, study_file.path, remedy, code="result-damaged")


def _find_fault(kind: str, file: Path, study_file: StudyFile, source: Dataset) -> str | None:
    try:
        fault = _CHECKS[kind](file, study_file, source)
        written = dcmread(file, stop_before_pixels=True)
    except Exception as error:  # a damaged byte can lead the readers to any exception
        return f"cannot be read back ({type(error).__name__})"
    wrong = [name for name in CARRIED_OVER if written.get(name) != source.get(name)]
    return fault or (f"has another {wrong[0]} than its source" if wrong else None)


def _find_segmentation_fault(file: Path, study_file: StudyFile, source: Dataset) -> str | None:
    from highdicom.seg import segread

    prediction = study_file.prediction
    assert prediction is not None
    # Segment by segment, since the heart may overlap the lungs.
    written = segread(file).get_pixels_by_source_instance([source.SOPInstanceUID])[0]
    lungs, heart = prediction.label_map(prediction.extent), prediction.shown_heart
    expected = np.stack([lungs == 1, lungs == 2, *([] if heart is None else [heart])], axis=-1)
    return None if np.array_equal(written, expected) else "holds another mask"


def _find_overlay_fault(file: Path, study_file: StudyFile, source: Dataset) -> str | None:
    assert study_file.picture is not None
    read = dcmread(file)
    referenced = [item.ReferencedSOPInstanceUID for item in read.SourceImageSequence]
    if referenced != [source.SOPInstanceUID]:
        return "refers to another radiograph"
    return None if np.array_equal(read.pixel_array, study_file.picture) else "holds another picture"


_CHECKS: dict[str, Callable[[Path, StudyFile, Dataset], str | None]] = {
    "segmentation": _find_segmentation_fault,
    "overlay": _find_overlay_fault,
}
