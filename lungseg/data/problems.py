# SPDX-License-Identifier: Apache-2.0
"""The problems that a case of a data set can have. Their kinds are also the codes of the errors of unusable masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

UNREADABLE = "unreadable"
SIZE_MISMATCH = "size-mismatch"
EMPTY_MASK = "mask-empty"
INVERTED_MASK = "mask-inverted"
NOT_A_MASK = "not-a-mask"
ONE_LUNG = "one-lung"
LATERALITY_UNKNOWN = "laterality-unknown"
LATERALITY_IMPLAUSIBLE = "laterality-implausible"
NOT_SIDE_BY_SIDE = "not-side-by-side"
DUPLICATE_NAME = "duplicate-name"
DUPLICATE_IMAGE = "duplicate-image"
MASK_WITHOUT_IMAGE = "mask-without-image"


@dataclass(frozen=True)
class Problem:
    """A problem of one file.

    Attributes:
        file: the file.
        kind: a code, one of the constants of this module.
        sentence: what is wrong, in one sentence.
        excluded: whether the case cannot be used for training and evaluation.
        name: the case that the file belongs to.
    """

    file: Path
    kind: str
    sentence: str
    excluded: bool
    name: str
