# SPDX-License-Identifier: Apache-2.0
"""Parts of a run that machines share: each does the files that a hash of their names gives it.

The two integers are those of nnU-Net's `part_id` and `num_parts`. A hash, instead of a place in the list, keeps every
file in its part when files are added.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lungseg.utils.errors import UsageError

_TEXT = re.compile(r"(\d+)/(\d+)")
_SLURM = "slurm"


@dataclass(frozen=True)
class Part:
    """A part of the files of a run.

    Attributes:
        number: from 1 to `count`.
        count: number of parts.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"part {self.number} of {self.count}"

    def has(self, stem: Path) -> bool:
        """Return whether the file whose results are called `stem` belongs to this part."""
        digest = hashlib.sha256(os.fsencode(stem)).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1

    def records(self, workers: int) -> range:
        """Return the numbers of the records of this part's workers, which no other part has."""
        return range(self.number - 1, self.count * workers, self.count)

    def has_record(self, number: int) -> bool:
        """Return whether a record of this number is that of a worker of this part."""
        return number % self.count == self.number - 1

    def lock(self, folder: Path) -> Path:
        """Return the lock that a run of this part holds."""
        return folder / f"part-{self.number}-of-{self.count}.lock"


def parse_part(text: str, environment: Mapping[str, str] = os.environ) -> Part:
    """Parse "3/16", or take the part from the task of a Slurm job array for "slurm".

    Raises:
        UsageError: the text is neither, the number is not from 1 to the count, or the variables of Slurm are missing.
    """
    if text == _SLURM:
        return _slurm_part(environment)
    found = _TEXT.fullmatch(text)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count:
        remedy = "give a number from 1 and the number of parts, such as 3/16, or slurm in a job array"
        raise UsageError(f"{text!r} is not a part", remedy=remedy, code="bad-part")
    return Part(number, count)


def _slurm_part(environment: Mapping[str, str]) -> Part:
    try:
        task, count = (int(environment[f"SLURM_ARRAY_TASK_{name}"]) for name in ("ID", "COUNT"))
        # An array may begin with any number.
        first, step = (int(environment.get(f"SLURM_ARRAY_TASK_{name}", 1)) for name in ("MIN", "STEP"))
        number, left_over = divmod(task - first, step)
    except (KeyError, ValueError, ZeroDivisionError) as error:
        what = "the variables SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT do not state a part"
        remedy = "submit it as a job array (sbatch --array=1-16), or give the part, such as 3/16"
        raise UsageError(what, remedy=remedy, code="no-slurm-array") from error
    if left_over or not 0 <= number < count:
        what = f"task {task} of {count} does not state a part: the numbers of the array have gaps"
        raise UsageError(what, remedy="submit it as sbatch --array=1-16", code="no-slurm-array")
    return Part(number + 1, count)
