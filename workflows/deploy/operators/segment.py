# SPDX-License-Identifier: Apache-2.0
"""Runs the bundle's own `inference.json` on a radiograph."""

from __future__ import annotations

import torch
from monai.deploy.core import Fragment
from monai.deploy.operators.inference_operator import InferenceOperator

from lungseg.inference.predictor import Prediction, Predictor, Prepared
from lungseg.workflows.deploy.operators.study_file_operator import StudyFileOperator
from lungseg.workflows.deploy.study_file import StudyFile


class SegmentLungsOperator(StudyFileOperator, InferenceOperator):
    """Finds the lungs as `lungseg predict` does, and judges them.

    The SDK's bundle operator would leave out the reader and the judgement that `inference.json` names, and takes no
    single radiographs.
    """

    def __init__(self, fragment: Fragment, *args, predictor: Predictor, **kwargs) -> None:
        self.predictor = predictor
        self._segmented: set[str] = set()
        super().__init__(fragment, *args, **kwargs)

    def wants(self, case: StudyFile) -> bool:
        return case.status == "selected"

    def work(self, case: StudyFile) -> None:
        # Told here, and not when it is found: of two copies the first may be damaged.
        if case.instance in self._segmented:
            return case.skip("the same object is in another file too")
        prepared = self.pre_process(case.path)
        case.prediction = self.post_process(prepared, self.predict(prepared))
        self._segmented.add(case.instance)
        case.status = "flagged" if case.prediction.flags else "ok"
        case.reason = "; ".join(case.prediction.flags.values())

    def pre_process(self, data, *args, **kwargs) -> Prepared:
        """Read a file and make it what the network sees."""
        return self.predictor.prepare(data)

    def predict(self, data: Prepared, *args, **kwargs) -> torch.Tensor:
        """Return the network's logits (3, w, h)."""
        return self.predictor.run([data])[0]

    def post_process(self, data: Prepared, logits: torch.Tensor, *args, **kwargs) -> Prediction:
        """Turn logits (3, w, h) into a label map of the radiograph's own size, with its judgement."""
        return self.predictor.finish(data, logits)
