# SPDX-License-Identifier: Apache-2.0
"""Measure weights on radiographs with references."""

from lungseg.utils.imports import lazy_exports

__all__ = ["EvaluationHandler"]

__getattr__ = lazy_exports(
    __name__,
    {"EvaluationHandler": "handler"},
)
