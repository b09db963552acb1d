# SPDX-License-Identifier: Apache-2.0
"""Writes the lungs as a DICOM Segmentation."""

from __future__ import annotations

from monai.deploy.core import Fragment

from lungseg.io.dicom.derived import Algorithm
from lungseg.io.dicom.segmentation import MirroredError, encode_dicom_seg
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path
from lungseg.workflows.deploy.operators.study_file_operator import StudyFileOperator
from lungseg.workflows.deploy.study_file import StudyFile


class WriteSegmentationOperator(StudyFileOperator):
    """Writes `STUDY/INSTANCE.seg.dcm`, by the writer of `lungseg predict`; its UIDs depend on source and weights.

    A mirrored radiograph, which is flagged, gets none, and its overlay all the same.
    """

    def __init__(self, fragment: Fragment, *args, algorithm: Algorithm, **kwargs) -> None:
        self.algorithm = algorithm
        super().__init__(fragment, *args, **kwargs)

    def work(self, case: StudyFile) -> None:
        try:
            content = encode_dicom_seg(case.prediction.labels, case.path, self.algorithm, one_per_source=True)
        except MirroredError as error:
            return case.leave_out("segmentation", error)
        except LungsegError as error:
            # The writer's own remedy is an option of `lungseg predict`.
            raise LungsegError(error.what, error.where, "export it again") from error
        target = self.fragment.output / case.study / f"{case.instance}.seg.dcm"
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)
        case.files["segmentation"] = target
