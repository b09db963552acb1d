# SPDX-License-Identifier: Apache-2.0
"""Run the bundle's own `inference.json` on a radiograph."""

from __future__ import annotations

from os import PathLike
from typing import Any

import torch
from holoscan.core import Fragment
from monai.deploy.operators.inference_operator import InferenceOperator

from lungseg.inference.predictor import Prediction, Predictor, Prepared
from lungseg.io.content import changed_while_read
from lungseg.quality.flags import NOT_FRONTAL
from lungseg.workflows.deploy.operators.study_file_operator import StudyFileOperator
from lungseg.workflows.deploy.study_file import StudyFile


class SegmentLungsOperator(StudyFileOperator, InferenceOperator):
    """Segment the lungs and estimate the quality, as `lungseg predict` does.

    The SDK's own bundle operator ignores the reader and the quality transform that `inference.json` names, and does not
    accept single radiographs.
    """

    def __init__(self, fragment: Fragment, *args: Any, predictor: Predictor, **kwargs: Any) -> None:
        self.predictor = predictor
        self._segmented: set[str] = set()
        super().__init__(fragment, *args, **kwargs)

    def is_needed(self, study_file: StudyFile) -> bool:
        """Return whether the file is a radiograph."""
        return study_file.status == "selected"

    def process(self, study_file: StudyFile) -> None:
        """Segment the file, unless another file with the same object was segmented before."""
        # Checked here and not when the file is found, because the first of two copies may be damaged.
        if study_file.instance in self._segmented:
            return study_file.skip("duplicate", "another file holds the same object")
        prepared = self.pre_process(study_file.path)
        source = prepared.radiograph.source
        # The header was read before: its identity must be that of these pixels.
        if source and source.sha256 != study_file.sha256:
            raise changed_while_read(study_file.path)
        prediction = self.post_process(prepared, self.predict(prepared))
        self._segmented.add(study_file.instance)
        study_file.prediction = prediction
        study_file.status = "flagged" if prediction.doubts else "ok"
        study_file.reason = "; ".join(prediction.doubts.values())
        kind = "not_frontal" if NOT_FRONTAL.intersection(prediction.doubts) else "doubtful"
        if prediction.doubts and kind in self.fragment.withheld:
            study_file.withhold(kind)

    def pre_process(self, data: str | PathLike[str], *args: Any, **kwargs: Any) -> Prepared:
        """Read a file and make the network's input from it."""
        return self.predictor.prepare(data)

    def predict(self, data: Prepared, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the network's logits (3, w, h)."""
        return self.predictor.run([data])[0]

    def post_process(self, data: Prepared, logits: torch.Tensor, *args: Any, **kwargs: Any) -> Prediction:
        """Turn logits (3, w, h) into a label map of the radiograph's own size, and judge it."""
        return self.predictor.finish(data, logits)
