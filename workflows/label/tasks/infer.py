# SPDX-License-Identifier: Apache-2.0
"""Inference: MONAI Label's task around lungseg's own predictor.

MONAI Label's `BundleInferTask` reads the bundle's config too, but builds the transforms anew for each image, changes
`sys.path` while other requests run, and writes a two-dimensional result as a column of zeros.
"""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path

from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from lungseg.utils.errors import LungsegError
from lungseg.workflows.label.store.label_maps import ENDINGS, LUNGS, encode, natural_ending
from lungseg.workflows.label.tasks.active_model import ActiveModel

logger = logging.getLogger(__name__)
# What a client chooses with `result_extension`, the first being the default: PNG, or NIfTI for NIfTI.
_CHOICES = ("auto", *ENDINGS)


class LungsInfer(InferTask):
    """Segments a radiograph.

    Args:
        segmenter: does it.
    """

    def __init__(self, segmenter: ActiveModel) -> None:
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=dict(LUNGS),
            dimension=2,
            description="Right and left lung on frontal chest radiographs",
            config={"result_extension": list(_CHOICES)},
        )
        self.segmenter = segmenter
        # MONAI Label removes a result when it is sent, and its client saves it by the same name among the temporary
        # files: on the server's own machine that must not be the same place.
        self._results = tempfile.TemporaryDirectory(prefix="lungseg-results-")

    def is_valid(self) -> bool:
        """Whether there are weights."""
        return self.segmenter.versions.active().weights.is_file()

    def get_path(self, validate: bool = True) -> str:
        """Return the file of the active weights."""
        return str(self.segmenter.versions.active().weights)

    def __call__(self, request: dict) -> tuple[str, dict]:
        """Segment the file `request["image"]`.

        Args:
            request: `image`, and `result_extension` if another kind of file than the natural one is wanted.

        Returns:
            A temporary file with the label map, and what the result's JSON holds: `quality`, `flags`,
            `label_names`, `size`, `version`, `weights`, `latencies`.

        Raises:
            MONAILabelException: the file is no radiograph that can be read, or the kind of file is unknown.
        """
        began = time.perf_counter()
        image = Path(request["image"])
        chosen = request.get("result_extension") or _CHOICES[0]
        try:
            ending = natural_ending(image) if chosen == _CHOICES[0] else chosen
            prediction, version, sha256 = self.segmenter(image)
            content = encode(prediction.labels, prediction.radiograph, image, ending)
        except LungsegError as error:
            raise MONAILabelException(MONAILabelError.INVALID_INPUT, str(error)) from error
        with tempfile.NamedTemporaryFile(suffix=ending, delete=False, dir=self._results.name) as file:
            file.write(content)
        seconds = prediction.seconds | {"total": time.perf_counter() - began}
        height, width = prediction.labels.shape
        return file.name, {
            "label_names": dict(LUNGS),
            "quality": prediction.quality,
            "flags": prediction.flags,
            "size": [width, height],
            "version": version.number,
            "weights": sha256,
            "latencies": {name: round(value, 3) for name, value in seconds.items()},
        }
