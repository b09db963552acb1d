# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a case of a data set, in the words that users read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

UNREADABLE = "unreadable"
SIZE_MISMATCH = "size mismatch"
EMPTY_MASK = "empty mask"
NOT_A_MASK = "neither a mask nor a label map"
ONE_LUNG = "one lung only"
LATERALITY_UNKNOWN = "laterality unknown"
LATERALITY_IMPLAUSIBLE = "laterality implausible"
DUPLICATE_NAME = "duplicate name"
DUPLICATE_IMAGE = "duplicate image"
MASK_WITHOUT_IMAGE = "mask without an image"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one file.

    Attributes:
        file: the file it is about.
        kind: one of the constants of this module.
        sentence: what is wrong, in one sentence.
        left_out: whether the case cannot be used for training and figures.
        name: the case it belongs to.
    """

    file: Path
    kind: str
    sentence: str
    left_out: bool
    name: str
