# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-subclassing-any=False
"""Inference: MONAI Label's task around lungseg's own predictor.

MONAI Label's `BundleInferTask` reads the bundle's config too, but builds the transforms again for each image, changes
`sys.path` while other requests run, and cannot write a two-dimensional result as PNG.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from lungseg.data.labels import HEART
from lungseg.utils.errors import LungsegError
from lungseg.workflows.label.store.label_maps import ENDINGS, LUNGS, encode, natural_ending
from lungseg.workflows.label.tasks.active_model import ActiveModel

# The values of `result_extension`. The default "auto" is NIfTI for NIfTI and PNG for all other formats.
_CHOICES = ("auto", *ENDINGS)


class LungsInfer(InferTask):
    """Segments a radiograph.

    Args:
        model: the active model.
    """

    def __init__(self, model: ActiveModel) -> None:
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=dict(LUNGS),
            dimension=2,
            description="Right and left lung on frontal chest radiographs",
            config={"result_extension": list(_CHOICES)},
        )
        self.model = model
        # MONAI Label removes a result after sending it, and its client saves it in the temporary folder under the same
        # name. On the server's own machine these must be different places.
        self._results = tempfile.TemporaryDirectory(prefix="lungseg-results-")

    def is_valid(self) -> bool:
        """Return whether the active weights exist."""
        return self.model.versions.active().weights.is_file()

    def get_path(self, validate: bool = True) -> str:
        """Return the file of the active weights."""
        return str(self.model.versions.active().weights)

    def __call__(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Segment the file `request["image"]`.

        Args:
            request: `image`, and optionally `result_extension`, and `heart`: whether to label the heart with 3 if the
                weights know it.

        Returns:
            A temporary file with the label map, and the result's JSON: `quality`, `quality_lower`, `doubts`,
            `notes`, `label_names`, `measurements`, `ctr_note`, `lines`, `size`, `version`, `weights`, `latencies`.
            `lines` are those of the cardiothoracic ratio, ((x, y), (x, y)) in pixels, the heart's first.

        Raises:
            MONAILabelException: the file is not a readable radiograph, or the format of the result is unknown.
        """
        began = time.perf_counter()
        image = Path(request["image"])
        chosen = request.get("result_extension") or _CHOICES[0]
        try:
            ending = natural_ending(image) if chosen == _CHOICES[0] else chosen
            prediction, version, sha256 = self.model(image)
            heart = bool(request.get("heart")) and prediction.knows_heart
            labels = prediction.label_map(heart=heart)
            content = encode(labels, prediction.radiograph, image, ending)
        except LungsegError as error:
            raise MONAILabelException(MONAILabelError.INVALID_INPUT, str(error)) from error
        with tempfile.NamedTemporaryFile(suffix=ending, delete=False, dir=self._results.name) as file:
            file.write(content)
        seconds = prediction.seconds | {"total": time.perf_counter() - began}
        height, width = prediction.labels.shape
        ratio = prediction.cardiothoracic_ratio
        return file.name, {
            "label_names": LUNGS | ({"heart": HEART} if heart else {}),
            **prediction.judgement,
            "measurements": {name: value for name, value in prediction.measurements.items() if value is not None},
            "ctr_note": ratio.note if ratio else "",
            "lines": prediction.lines,
            "size": [width, height],
            "version": version.number,
            "weights": sha256,
            "latencies": {name: round(value, 3) for name, value in seconds.items()},
        }
