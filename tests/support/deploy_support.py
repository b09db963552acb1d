# SPDX-License-Identifier: Apache-2.0
"""Studies of radiographs as DICOM files, and checks of the results."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import highdicom
import numpy as np
import pytest
from images_support import write_dicom
from pydicom import Dataset
from pydicom.uid import generate_uid

from benchmarks.orthanc_node import program
from lungseg.data import phantom
from lungseg.model.paths import bundle_root
from lungseg.utils.errors import UsageError

PATIENT = {
    "PatientName": "Secret^Zoë",
    "SpecificCharacterSet": "ISO_IR 192",
    "PatientBirthDate": "19500101",
    "PatientSex": "F",
    "StudyDate": "20200202",
    "StudyTime": "120000",
    "AccessionNumber": "A1",
    "StudyID": "S1",
    "ReferringPhysicianName": "Who^Doctor",
    "InstanceNumber": 1,
    "SeriesNumber": 1,
}


def uid(*names: object) -> str:
    return generate_uid(entropy_srcs=[str(name) for name in names])


def write_study_file(
    path: Path, study: object, series: object = 1, pixels: np.ndarray | None = None, **more
) -> Dataset:
    """Write a radiograph, by default a phantom that `study` chooses, into a study and a series of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels is None:
        pixels = phantom(hash_of(study), (130, 110))[0]
    uids = {"StudyInstanceUID": uid("study", study), "SeriesInstanceUID": uid("series", study, series)}
    attributes = (
        PATIENT | uids | {"PatientID": f"P{study}", "SOPInstanceUID": uid("instance", study, series, path.stem)}
    )
    return write_dicom(path, pixels, **attributes | more)


def hash_of(study: object) -> int:
    return sum(map(ord, str(study)))


def other_weights(folder: Path) -> Path:
    """Copy the bundle to `folder`, with the Montgomery weights as its own."""
    shutil.copytree(bundle_root(), folder)
    shutil.copy(folder / "models" / "model_open.pt", folder / "models" / "model.pt")
    return folder


def by_name(folder: Path) -> dict[str, dict]:
    """Return the entries of a summary by the stems of their files."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {Path(entry["file"]).stem: entry for entry in summary["files"]}


def labels_of_seg(seg, source: Dataset) -> np.ndarray:
    """Return the label map (H, W) of a segmentation, given by path or as a file object."""
    read = highdicom.seg.segread(seg)
    return read.get_pixels_by_source_instance([source.SOPInstanceUID], combine_segments=True)[0]


def dicom_errors(path: Path) -> set[str]:
    """Return the errors that dciodvfy finds in a DICOM file."""
    done = subprocess.run([needed("dciodvfy"), path], capture_output=True, text=True, errors="replace", timeout=60)
    assert done.stderr, done
    return {line for line in done.stderr.splitlines() if line.startswith("Error")}


def check_valid(result: Path, source: Path) -> None:
    """Check that a result has only the errors of its source; missing type 2 attributes become empty."""
    assert not dicom_errors(result) - dicom_errors(source)


def check_carried_over(result: Dataset, source: Dataset) -> None:
    """Check that a result has the patient and the study of its source."""
    names = ("PatientID", "StudyInstanceUID", *(name for name in PATIENT if not name.endswith("Number")))
    for name in (*names, "AccessionNumber"):
        assert result.get(name, "") == source.get(name, ""), name


def needed(name: str) -> str:
    """Return the path of a program, or skip the test with the name of its Debian package."""
    try:
        return program(name)
    except UsageError as missing:
        pytest.skip(str(missing))
