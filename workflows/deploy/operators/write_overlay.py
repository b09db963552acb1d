# SPDX-License-Identifier: Apache-2.0
"""Write the overlay as a secondary capture, which any viewer shows."""

from __future__ import annotations

from typing import Any

from holoscan.core import Fragment

from lungseg.io.dicom.derived import Algorithm
from lungseg.io.dicom.secondary_capture import encode_dicom_overlay
from lungseg.io.overlay import draw_overlay
from lungseg.utils.files import atomic_path
from lungseg.utils.names import path_inside
from lungseg.workflows.deploy.operators.study_file_operator import StudyFileOperator
from lungseg.workflows.deploy.study_file import StudyFile


class WriteOverlayOperator(StudyFileOperator):
    """Write `STUDY/INSTANCE.overlay.dcm`, with UIDs that depend on the source and the weights.

    Description and picture say that it is for research and, if so, that it is doubtful.
    """

    def __init__(self, fragment: Fragment, *args: Any, algorithm: Algorithm, **kwargs: Any) -> None:
        self.algorithm = algorithm
        super().__init__(fragment, *args, **kwargs)

    def process(self, study_file: StudyFile) -> None:
        """Draw the outlines and write the file."""
        assert study_file.prediction is not None
        prediction, doubts = study_file.prediction, study_file.doubts
        text = f"RESEARCH, lungseg {self.algorithm.software}"
        text += f"; DOUBTFUL: {', '.join(doubts)}" if doubts else ""
        lungs, heart = prediction.label_map(prediction.extent), prediction.shown_heart
        study_file.picture = draw_overlay(
            prediction.radiograph.pixels, lungs, heart=heart, lines=prediction.lines, text=text
        )
        content = encode_dicom_overlay(study_file.picture, prediction.radiograph.source, self.algorithm, doubts=doubts)
        target = path_inside(self.fragment.output, study_file.study, f"{study_file.instance}.overlay.dcm")
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)
        study_file.files["overlay"] = target
