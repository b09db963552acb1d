# SPDX-License-Identifier: Apache-2.0
"""The last operator: what became of each file, as JSON."""

from __future__ import annotations

import json
from collections import Counter

from monai.deploy.core import Fragment, Operator, OperatorSpec
from pydicom import dcmread

from lungseg.inference.measurements import measurements
from lungseg.io.dicom.derived import Algorithm
from lungseg.utils.files import atomic_path
from lungseg.workflows.deploy.study_file import StudyFile

SUMMARY = "summary.json"


class SummarizeOperator(Operator):
    """Writes `summary.json` when all cases have come; `docs/deploy.md` tells what is in it.

    Named input: `case`.
    """

    def __init__(self, fragment: Fragment, *args, algorithm: Algorithm, **kwargs) -> None:
        self.algorithm, self.entries = algorithm, []
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input("case")

    def compute(self, op_input, op_output, context) -> None:
        case = op_input.receive("case")
        if isinstance(case, StudyFile):
            self.entries.append(self._entry(case))
            # The pixels are not needed any more.
            case.prediction = case.picture = None
        elif not self.fragment.stopped_by:
            self._write()

    def _entry(self, case: StudyFile) -> dict:
        entry = {
            "file": str(case.path),
            "status": case.status,
            "reason": case.reason,
            "study_instance_uid": case.study,
            "series_instance_uid": case.series,
            "sop_instance_uid": case.instance,
            "sop_class_uid": case.sop_class,
        }
        if case.prediction:
            entry |= {
                "quality": case.prediction.quality,
                "flags": case.prediction.flags,
                "spacing_kind": case.prediction.radiograph.spacing_kind,
                "measures": measurements(case.prediction.labels, case.prediction.radiograph.spacing),
                "results": {kind: self._result(file) for kind, file in case.files.items()},
            }
        return entry

    def _result(self, file) -> dict:
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
            # A file name may hold bytes that are no UTF-8; written as \udcXX, they are JSON's own escapes.
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
