# SPDX-License-Identifier: Apache-2.0
"""Agreement of a segmentation with its reference, and means and intervals over cases."""

from lungseg.utils.imports import lazy_exports

__all__ = ["case_metrics", "summarise"]

__getattr__ = lazy_exports(
    __name__,
    {"case_metrics": "agreement", "summarise": "summary"},
)
