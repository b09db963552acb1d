# SPDX-License-Identifier: Apache-2.0
"""The last operator: write the outcome of each file as JSON."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from holoscan.core import Fragment, OperatorSpec
from pydicom import dcmread

from lungseg.io.dicom.derived import Algorithm
from lungseg.utils.files import atomic_path
from lungseg.workflows.deploy.operators.guarded_operator import GuardedOperator
from lungseg.workflows.deploy.study_file import StudyFile

SUMMARY = "summary.json"


class SummarizeOperator(GuardedOperator):
    """Write `summary.json` after the last file; `docs/deploy.md` describes its content.

    Named input: `study_file`.
    """

    def __init__(self, fragment: Fragment, *args: Any, algorithm: Algorithm, **kwargs: Any) -> None:
        self.algorithm = algorithm
        self.entries: list[dict[str, Any]] = []
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the input."""
        spec.input("study_file")

    def step(self, op_input: Any, op_output: Any) -> None:
        """Add a file to the summary, or write the summary after the last file."""
        study_file = op_input.receive("study_file")
        if isinstance(study_file, StudyFile):
            self.entries.append(self._entry(study_file))
            # Frees the memory of the pixels.
            study_file.prediction = study_file.picture = None
        elif not self.fragment.stopped_by:
            self._write()

    def _entry(self, study_file: StudyFile) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "file": str(study_file.path),
            "status": study_file.status,
            "code": study_file.code,
            "reason": study_file.reason,
            "study_instance_uid": study_file.study,
            "series_instance_uid": study_file.series,
            "sop_instance_uid": study_file.instance,
            "sop_class_uid": study_file.sop_class,
        }
        prediction = study_file.prediction
        if prediction:
            entry |= {
                **prediction.judgement,
                "spacing_kind": prediction.radiograph.spacing_kind,
                "measures": {name: value for name, value in prediction.measurements.items() if value is not None},
                "ctr_note": ratio.note if (ratio := prediction.cardiothoracic_ratio) else "",
                "results": {kind: self._result(file) for kind, file in study_file.files.items()},
            }
        return entry

    def _result(self, file: Path) -> dict[str, str]:
        header = dcmread(file, stop_before_pixels=True)
        return {
            "file": str(file.relative_to(self.fragment.output)),
            "series_instance_uid": str(header.SeriesInstanceUID),
            "sop_instance_uid": str(header.SOPInstanceUID),
        }

    def _write(self) -> None:
        counts = Counter(entry["status"] for entry in self.entries)
        summary = {
            "algorithm": vars(self.algorithm),
            "counts": {status: counts[status] for status in ("ok", "flagged", "skipped", "failed")},
            "files": self.entries,
        }
        text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
        with atomic_path(self.fragment.output / SUMMARY) as temporary:
            # A file name may hold bytes that are not UTF-8; written as \udcXX, they are JSON's own escapes.
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
