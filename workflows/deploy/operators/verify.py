# SPDX-License-Identifier: Apache-2.0
"""Reads back what was written, before anybody else does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread

from lungseg.io.dicom.derived import read_reference
from lungseg.utils.errors import LungsegError
from lungseg.workflows.deploy.operators.study_file_operator import StudyFileOperator
from lungseg.workflows.deploy.study_file import StudyFile

# What a result has to say as its source does: otherwise it would be filed under somebody else.
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
    """Fails a case whose files do not hold its mask, its picture, or its source's patient and study."""

    def wants(self, case: StudyFile) -> bool:
        return bool(case.files)

    def work(self, case: StudyFile) -> None:
        source = read_reference(case.path, "result", "check the disk")
        for kind, file in case.files.items():
            fault = _fault(kind, file, case, source)
            if fault:
                raise LungsegError(f"the {kind} that was written {fault}", case.path, "check the disk and run again")


def _fault(kind: str, file: Path, case: StudyFile, source: Dataset) -> str | None:
    try:
        fault = _READERS[kind](file, case, source)
        written = dcmread(file, stop_before_pixels=True)
    except Exception as error:  # whatever a damaged byte leads the readers to
        return f"cannot be read back ({type(error).__name__})"
    wrong = [name for name in CARRIED_OVER if written.get(name) != source.get(name)]
    return fault or (f"has another {wrong[0]} than its source" if wrong else None)


def _segmentation(file: Path, case: StudyFile, source: Dataset) -> str | None:
    from highdicom.seg import segread

    read = segread(file)
    labels = read.get_pixels_by_source_instance([source.SOPInstanceUID], combine_segments=True)[0]
    return None if np.array_equal(labels, case.prediction.labels) else "holds another mask"


def _overlay(file: Path, case: StudyFile, source: Dataset) -> str | None:
    read = dcmread(file)
    shown = [item.ReferencedSOPInstanceUID for item in read.SourceImageSequence]
    if shown != [source.SOPInstanceUID]:
        return "refers to another radiograph"
    return None if np.array_equal(read.pixel_array, case.picture) else "holds another picture"


_READERS: dict[str, Callable[[Path, StudyFile, Dataset], str | None]] = {
    "segmentation": _segmentation,
    "overlay": _overlay,
}
