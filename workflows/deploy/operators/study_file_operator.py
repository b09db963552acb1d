# SPDX-License-Identifier: Apache-2.0
"""The base class of the operators between the first and the last one."""

from __future__ import annotations

from typing import Any

from holoscan.core import OperatorSpec

from lungseg.utils.errors import LungsegError, as_lungseg_error
from lungseg.utils.files import disk_is_to_blame
from lungseg.workflows.deploy.operators.guarded_operator import GuardedOperator
from lungseg.workflows.deploy.study_file import StudyFile


class StudyFileOperator(GuardedOperator):
    """Process one file at a time and hand it on; an error is recorded in its file and does not stop the others.

    Named input and output: `study_file`, a :class:`StudyFile`, or `END`, which is handed on unchanged.
    """

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the input and the output."""
        spec.input("study_file")
        spec.output("study_file")

    def step(self, op_input: Any, op_output: Any) -> None:
        """Receive a file, process it if needed, and emit it."""
        study_file = op_input.receive("study_file")
        if isinstance(study_file, StudyFile) and self.is_needed(study_file):
            try:
                self.process(study_file)
            except (Exception, SystemExit) as error:  # one image can lead the libraries to any exception
                study_file.fail(as_lungseg_error(error, "this file could not be processed", study_file.path))
                if isinstance(error, LungsegError) and disk_is_to_blame(error):
                    self.fragment.stopped_by = error
        op_output.emit(study_file, "study_file")

    def is_needed(self, study_file: StudyFile) -> bool:
        """Return whether to process the file: by default, whether it is segmented and is to have results."""
        return study_file.prediction is not None and not study_file.withheld

    def process(self, study_file: StudyFile) -> None:
        """Do the task of the operator; any exception fails the file."""
        raise NotImplementedError
