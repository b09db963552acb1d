# SPDX-License-Identifier: Apache-2.0
"""What people read: the pages, pictures and tables about segmentations and runs."""

from lungseg.evaluation.handler import EvaluationHandler
from lungseg.report.curves import learning_curves
from lungseg.report.evaluation import write_evaluation
from lungseg.report.text import format_summary

__all__ = ["EvaluationHandler", "format_summary", "learning_curves", "write_evaluation"]
