# SPDX-License-Identifier: Apache-2.0
"""Lung segmentation from chest radiographs, as a MONAI bundle.

>>> import lungseg
>>> lungs = lungseg.load().predict("chest.png")
>>> lungs.labels  # (H, W) uint8: 0 background, 1 right lung, 2 left lung
"""

from typing import TYPE_CHECKING

from lungseg.utils.imports import lazy_exports
from lungseg.version import __version__

if TYPE_CHECKING:
    from lungseg.evaluation.api import evaluate
    from lungseg.inference.api import Prediction, Predictor, export, load, predict_folder
    from lungseg.io.radiograph import Radiograph
    from lungseg.io.reading import read_radiograph
    from lungseg.training.api import train

__all__ = [
    "Prediction",
    "Predictor",
    "Radiograph",
    "__version__",
    "evaluate",
    "export",
    "load",
    "predict_folder",
    "read_radiograph",
    "train",
]

# PyTorch and MONAI take seconds to import.
__getattr__ = lazy_exports(
    __name__,
    {
        "Prediction": "inference.api",
        "Predictor": "inference.api",
        "Radiograph": "io.radiograph",
        "evaluate": "evaluation.api",
        "export": "inference.api",
        "load": "inference.api",
        "predict_folder": "inference.api",
        "read_radiograph": "io.reading",
        "train": "training.api",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
