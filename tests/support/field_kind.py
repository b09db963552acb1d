# SPDX-License-Identifier: Apache-2.0
"""The description of one kind of input that people have; the kinds themselves are in `field_inputs`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Small files of the kinds of public bug reports, beside the public data; None where they are not there.
FIELD = Path(os.environ["LUNGSEG_DATA"], "field") if "LUNGSEG_DATA" in os.environ else None


@dataclass(frozen=True)
class Kind:
    """A kind of input, and what is right for it.

    Attributes:
        name: what it is, in a few words.
        make: writes the input into an empty folder, which is also the current one, and returns the arguments of
            `lungseg`; paths may be relative to the folder.
        right: what is right, in one sentence.
        status: the exit status.
        said: regular expressions; each is found in what the command prints.
        check: looks at the results in the folder, and raises AssertionError if they are wrong.
        real: whether it needs the real data.
    """

    name: str
    make: Callable[[Path], Sequence[object]]
    right: str
    status: int = 0
    said: Sequence[str] = ()
    check: Callable[[Path], None] | None = None
    real: bool = False
