# SPDX-License-Identifier: Apache-2.0
"""The first operator: what is in the input folder, and which of it is a frontal radiograph."""

from __future__ import annotations

from collections.abc import Iterator

from holoscan.conditions import BooleanCondition
from monai.deploy.core import Fragment, Operator, OperatorSpec

from lungseg.io import find_radiographs
from lungseg.workflows.deploy.selection import look_at
from lungseg.workflows.deploy.study_file import END, StudyFile


class FindRadiographsOperator(Operator):
    """Emits each file of the application's input folder, one at a time, as a case, then `END`.

    It takes the place of the SDK's loader and selector, which hold all pixels of all studies in memory, keep one of the
    radiographs that state the same position, and select series, not images: a lateral comes with its frontal view.

    Named output: `case`.
    """

    def __init__(self, fragment: Fragment, *args, **kwargs) -> None:
        self._more = BooleanCondition(fragment, name="more")
        super().__init__(fragment, self._more, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.output("case")

    def start(self) -> None:
        self._cases = self._find()

    def compute(self, op_input, op_output, context) -> None:
        case = END if self.fragment.stopped_by else next(self._cases, END)
        op_output.emit(case, "case")
        if case is END:
            self._more.disable_tick()

    def _find(self) -> Iterator[StudyFile]:
        found = find_radiographs([self.fragment.input], exclude=self.fragment.output)
        for path in found.skipped:
            yield StudyFile(
                path, status="skipped", reason="it is hidden, a link, earlier results or no picture by its name"
            )
        yield from map(look_at, [*found.companions, *(path for path, _ in found.radiographs)])
