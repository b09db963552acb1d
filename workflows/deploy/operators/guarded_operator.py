# SPDX-License-Identifier: Apache-2.0
"""The base class of all operators: no error leaves one."""

from __future__ import annotations

from typing import Any

from holoscan.core import Operator


class GuardedOperator(Operator):  # type: ignore[misc]
    """Stop the run at an error, which the application then raises.

    An error that left an operator would end the process in the application's next run (Holoscan 4.6).
    """

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Call :meth:`step`; MONAI Deploy calls it once for each file."""
        try:
            self.step(op_input, op_output)
        except BaseException as error:  # also a library's wish to exit
            self.fragment.stopped_by = self.fragment.stopped_by or error

    def step(self, op_input: Any, op_output: Any) -> None:
        """Receive, work and emit."""
        raise NotImplementedError
