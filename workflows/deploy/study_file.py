# SPDX-License-Identifier: Apache-2.0
"""What travels from operator to operator: one file of the input and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

    from lungseg.inference.predictor import Prediction
    from lungseg.utils.errors import LungsegError

Status = Literal["selected", "ok", "flagged", "skipped", "failed"]


@dataclass
class StudyFile:
    """One file of the input.

    Attributes:
        path: the file.
        status: "selected" until it is segmented, then "ok" or "flagged"; "skipped" is what is no frontal radiograph,
            "failed" what could not be done.
        reason: why it was skipped, flagged or failed, or a result was left out, in words.
        study, series, instance, sop_class: its UIDs, where they are known.
        prediction: its lungs.
        picture: (H, W, 3) uint8, the overlay.
        files: kind of result -> what was written.
    """

    path: Path
    status: Status = "selected"
    reason: str = ""
    study: str = ""
    series: str = ""
    instance: str = ""
    sop_class: str = ""
    prediction: Prediction | None = None
    picture: np.ndarray | None = None
    files: dict[str, Path] = field(default_factory=dict)

    def skip(self, reason: str) -> None:
        """Leave it alone, with a reason."""
        self.status, self.reason = "skipped", reason

    def leave_out(self, kind: str, error: LungsegError) -> None:
        """Go on without a kind of result, and say why."""
        self.reason = "; ".join(filter(None, (self.reason, f"the {kind} was left out, for {error.what}")))

    def fail(self, error: Exception) -> None:
        """Take back what was written for it, so that nothing doubtful leaves."""
        for file in self.files.values():
            file.unlink(missing_ok=True)
        self.files.clear()
        self.prediction = self.picture = None
        self.status, self.reason = "failed", str(error)


# Follows the last case.
END = object()
