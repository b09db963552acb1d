# SPDX-License-Identifier: Apache-2.0
"""Write the lungs, and the heart if the settings ask for it, as a DICOM Segmentation."""

from __future__ import annotations

from typing import Any

from holoscan.core import Fragment

from lungseg.io.dicom.derived import Algorithm
from lungseg.io.dicom.segmentation import MirroredError, encode_dicom_seg
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path
from lungseg.utils.names import path_inside
from lungseg.workflows.deploy.operators.study_file_operator import StudyFileOperator
from lungseg.workflows.deploy.study_file import StudyFile


class WriteSegmentationOperator(StudyFileOperator):
    """Write `STUDY/INSTANCE.seg.dcm` with the writer of `lungseg predict`; its UIDs depend on source and weights.

    A radiograph that its file states to be mirrored gets no segmentation, because its sides would contradict the file.
    A doubtful segmentation says so in its descriptions and in the labels of its segments.
    """

    def __init__(self, fragment: Fragment, *args: Any, algorithm: Algorithm, **kwargs: Any) -> None:
        self.algorithm = algorithm
        super().__init__(fragment, *args, **kwargs)

    def process(self, study_file: StudyFile) -> None:
        """Write the file, unless the radiograph is mirrored."""
        assert study_file.prediction is not None
        prediction = study_file.prediction
        try:
            content = encode_dicom_seg(
                prediction.label_map(prediction.extent),
                prediction.radiograph.source,
                self.algorithm,
                one_per_source=True,
                extent=prediction.extent,
                heart=prediction.shown_heart,
                doubts=study_file.doubts,
            )
        except MirroredError as error:
            return study_file.omit_result("segmentation", error)
        except LungsegError as error:
            # The writer's own remedy is an option of `lungseg predict`.
            raise LungsegError(error.what, error.where, "export the file again", code=error.code) from error
        target = path_inside(self.fragment.output, study_file.study, f"{study_file.instance}.seg.dcm")
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)
        study_file.files["segmentation"] = target
