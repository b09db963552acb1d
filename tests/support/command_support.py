# SPDX-License-Identifier: Apache-2.0
"""Calling commands in tests: what one left, and a process that is as before."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from dataclasses import dataclass

# Overrides that train a network in a second or two.
TINY = (
    "network_def#channels=[4,8]",
    "network_def#strides=[2]",
    "image_size=48",
    "batch_size=4",
    "num_workers=0",
    "progress=false",
)


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str

    @property
    def failures(self) -> list[str]:
        """The lines about inputs that failed."""
        assert "Traceback" not in self.out + self.err, self.out + self.err
        return [line for line in self.err.splitlines() if line.startswith("lungseg: failed: ")]

    @property
    def sentence(self) -> str:
        """The one line on stderr; a test that asks for it also proves that there is no other, and no traceback."""
        assert "Traceback" not in self.out + self.err, self.out + self.err
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("lungseg: "), lines[0]
        assert lines[0].endswith("."), lines[0]
        return lines[0]


@contextmanager
def restored_process():
    """Undo what a command does to its process: silenced warnings and logs, and seeds."""
    from monai.utils import set_determinism

    logger, last_resort = logging.getLogger("lungseg"), logging.lastResort
    state = logger.level, logger.propagate, list(logger.handlers)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        set_determinism(None)
        level, logger.propagate, logger.handlers[:] = state
        logger.setLevel(level)
        logging.lastResort = last_resort
