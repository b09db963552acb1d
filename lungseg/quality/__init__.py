# SPDX-License-Identifier: Apache-2.0
"""How far to trust a result: features, networks, flags."""

from lungseg.utils.imports import lazy_exports

__all__ = ["EstimateQualityd", "QualityEstimator", "SecondModel"]

__getattr__ = lazy_exports(
    __name__,
    {"EstimateQualityd": "transform", "QualityEstimator": "transform", "SecondModel": "second_model"},
)
