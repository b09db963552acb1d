# SPDX-License-Identifier: Apache-2.0
"""Pages, pictures and tables about segmentations and runs."""

from lungseg.utils.imports import lazy_exports

__all__ = ["format_summary", "learning_curves", "write_evaluation"]

__getattr__ = lazy_exports(
    __name__,
    {"learning_curves": "curves", "write_evaluation": "evaluation", "format_summary": "text"},
)
