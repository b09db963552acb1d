# SPDX-License-Identifier: Apache-2.0
"""What the operators between the first and the last one share."""

from __future__ import annotations

from monai.deploy.core import Operator, OperatorSpec

from lungseg.utils.errors import LungsegError, as_lungseg_error
from lungseg.utils.files import disk_is_to_blame
from lungseg.workflows.deploy.study_file import StudyFile


class StudyFileOperator(Operator):
    """Works on one case at a time and hands it on; what goes wrong is told in the case and stops no other one.

    Named input and output: `case`, a :class:`StudyFile`, or `END`, which is handed on as it is.
    """

    def setup(self, spec: OperatorSpec) -> None:
        spec.input("case")
        spec.output("case")

    def compute(self, op_input, op_output, context) -> None:
        case = op_input.receive("case")
        if isinstance(case, StudyFile) and self.wants(case):
            try:
                self.work(case)
            except Exception as error:  # whatever one picture does to the libraries, the others are still segmented
                case.fail(as_lungseg_error(error, "it could not be processed", case.path))
                if isinstance(error, LungsegError) and disk_is_to_blame(error):
                    self.fragment.stopped_by = error
        op_output.emit(case, "case")

    def wants(self, case: StudyFile) -> bool:
        """Whether there is something to do: by default, whether the case is segmented and its results are wanted."""
        return case.prediction is not None and (case.status == "ok" or self.fragment.keep_flagged)

    def work(self, case: StudyFile) -> None:
        """Do the operator's one task; any exception fails the case."""
        raise AssertionError
