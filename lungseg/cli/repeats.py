# SPDX-License-Identifier: Apache-2.0
"""A few warnings of each kind, and a count of the others."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from lungseg.cli.console import ConsoleHandler

logger = logging.getLogger(__name__)

# Warnings of a kind that are shown.
_SHOWN = 3


@contextmanager
def few_of_a_kind(where: str) -> Iterator[None]:
    """Show the first warnings of each kind while the block runs, and count the others when it ends, however it ends.

    A warning's kind is its attribute `kind`, or its text without what was filled in. Everything is shown where messages
    of the level DEBUG are.

    Args:
        where: the file in which all of them are, relative to the working directory.
    """
    package = logging.getLogger("lungseg")
    if package.isEnabledFor(logging.DEBUG):
        yield
        return
    repeats = _Repeats()
    handlers = [handler for handler in package.handlers if isinstance(handler, ConsoleHandler)]
    for handler in handlers:
        handler.addFilter(repeats)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(repeats)
        for kind, count in repeats.counts.items():
            if count > _SHOWN:
                logger.warning("%s: and %d more like this; see %s, or use -v.", kind, count - _SHOWN, where)


class _Repeats(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is shown."""
        if record.levelno != logging.WARNING:
            return True
        kind = str(getattr(record, "kind", "") or str(record.msg).replace("%s", "…").rstrip("."))
        self.counts[kind] += 1
        return self.counts[kind] <= _SHOWN
