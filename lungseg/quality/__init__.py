# SPDX-License-Identifier: Apache-2.0
"""How far to trust a result: features, network, flags."""

from lungseg.utils.imports import lazy_exports

__all__ = ["EstimateQualityd", "QualityEstimator"]

__getattr__ = lazy_exports(
    __name__,
    {"EstimateQualityd": "transform", "QualityEstimator": "transform"},
)
