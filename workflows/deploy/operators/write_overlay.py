# SPDX-License-Identifier: Apache-2.0
"""Writes the overlay as a secondary capture, which any viewer shows."""

from __future__ import annotations

from monai.deploy.core import Fragment

from lungseg.io import draw_overlay
from lungseg.io.dicom.derived import Algorithm
from lungseg.io.dicom.secondary_capture import encode_dicom_overlay
from lungseg.utils.files import atomic_path
from lungseg.workflows.deploy.operators.study_file_operator import StudyFileOperator
from lungseg.workflows.deploy.study_file import StudyFile


class WriteOverlayOperator(StudyFileOperator):
    """Writes `STUDY/INSTANCE.overlay.dcm`; its UIDs depend on source and weights."""

    def __init__(self, fragment: Fragment, *args, algorithm: Algorithm, **kwargs) -> None:
        self.algorithm = algorithm
        super().__init__(fragment, *args, **kwargs)

    def work(self, case: StudyFile) -> None:
        case.picture = draw_overlay(case.prediction.radiograph.pixels, case.prediction.labels)
        content = encode_dicom_overlay(case.picture, case.path, self.algorithm)
        target = self.fragment.output / case.study / f"{case.instance}.overlay.dcm"
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)
        case.files["overlay"] = target
