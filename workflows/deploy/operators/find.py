# SPDX-License-Identifier: Apache-2.0
"""The first operator: list the files of the input folder and select the frontal radiographs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holoscan.conditions import BooleanCondition
from holoscan.core import Fragment, OperatorSpec

from lungseg.io.discovery import find_radiographs
from lungseg.workflows.deploy.operators.guarded_operator import GuardedOperator
from lungseg.workflows.deploy.selection import read_study_file
from lungseg.workflows.deploy.study_file import END, StudyFile


class FindRadiographsOperator(GuardedOperator):
    """Emit each file of the application's input folder as a :class:`StudyFile`, one at a time, then `END`.

    It replaces the SDK's loader and series selector: they hold the pixels of all studies in memory, keep only one of
    several radiographs with the same position, and select series, so that a lateral view comes with its frontal view.

    Named output: `study_file`.
    """

    def __init__(self, fragment: Fragment, *args: Any, **kwargs: Any) -> None:
        self._more = BooleanCondition(fragment, name="more")
        super().__init__(fragment, self._more, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the output."""
        spec.output("study_file")

    def start(self) -> None:
        """List the files; MONAI Deploy calls it once per run."""
        self._study_files = self._find()
        self.fragment.begun.set()

    def step(self, op_input: Any, op_output: Any) -> None:
        """Emit the next file, or the end after the last one or an error."""
        study_file: object = END
        try:
            if not self.fragment.stopped_by:
                study_file = next(self._study_files, END)
        finally:
            op_output.emit(study_file, "study_file")
            if study_file is END:
                self._more.disable_tick()

    def _find(self) -> Iterator[StudyFile]:
        # Whether a file is a radiograph is found from its data set: an object of which the file's head says something
        # else is still one study's affair.
        found = find_radiographs([self.fragment.input], exclude=self.fragment.output, allow_none=True)
        for path in [*found.skipped, *found.archives]:
            study_file = StudyFile(path)
            study_file.skip("not-listed", "this is hidden, a link, an earlier result, an archive, or not an image")
            yield study_file
        yield from map(read_study_file, [*found.companions, *(path for path, _ in found.radiographs)])
