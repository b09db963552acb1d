# SPDX-License-Identifier: Apache-2.0
"""Radiographs in, results out."""

from lungseg.utils.imports import lazy_exports

__all__ = ["Prediction", "Predictor"]

__getattr__ = lazy_exports(
    __name__,
    {
        "Prediction": "predictor",
        "Predictor": "predictor",
    },
)
