# SPDX-License-Identifier: Apache-2.0
"""One file of the input and its outcome: the operators hand it from one to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lungseg.inference.predictor import Prediction
    from lungseg.utils.errors import LungsegError

Status = Literal["selected", "ok", "flagged", "skipped", "failed"]


@dataclass
class StudyFile:
    """One file of the input.

    Attributes:
        path: the file.
        sha256: of its content when its header was read.
        status: "selected" until it is segmented, then "ok" or "flagged"; "skipped" if it is not a frontal radiograph,
            "failed" if an error prevented its processing.
        code: stable name of the reason why it was skipped or failed, or has no results; otherwise empty.
        reason: why it was skipped, flagged or failed, or why a result is missing.
        study, series, instance, sop_class: its UIDs, where they are known.
        prediction: its lungs.
        withheld: whether it is segmented, but gets no results.
        picture: (H, W, 3) uint8, the overlay.
        files: kind of result -> the file that was written.
    """

    path: Path
    sha256: str = ""
    status: Status = "selected"
    code: str = ""
    reason: str = ""
    study: str = ""
    series: str = ""
    instance: str = ""
    sop_class: str = ""
    prediction: Prediction | None = None
    withheld: bool = False
    picture: NDArray[np.uint8] | None = None
    files: dict[str, Path] = field(default_factory=dict)

    def skip(self, code: str, reason: str) -> None:
        """Do not process it."""
        self.status, self.code, self.reason = "skipped", code, reason

    def withhold(self, kind: str) -> None:
        """Write no results, and say so; `kind` is the setting that decides it."""
        self.withheld, self.code = True, kind.replace("_", "-")
        self.reason += "; its results are withheld"

    @property
    def doubts(self) -> tuple[str, ...]:
        """Names of the doubts about its result, which the results state."""
        return tuple(self.prediction.doubts) if self.prediction else ()

    def omit_result(self, kind: str, error: LungsegError) -> None:
        """Continue without one kind of result, and append the reason."""
        self.reason = "; ".join(filter(None, (self.reason, f"the {kind} was not written: {error.what}")))

    def fail(self, error: LungsegError) -> None:
        """Remove all results that were written for it, so that no doubtful file remains."""
        for file in self.files.values():
            file.unlink(missing_ok=True)
        self.files.clear()
        self.prediction = self.picture = None
        self.status, self.code, self.reason = "failed", error.code, str(error)


# Follows the last file.
END = object()
