# SPDX-License-Identifier: Apache-2.0
"""The terminal: lines that the library logs, results of commands, and how far a command is."""

from __future__ import annotations

import io
import logging
import os
import sys
import time
import warnings
from typing import TYPE_CHECKING

from lungseg.utils.imports import silence_libraries
from lungseg.utils.text import describe_duration

if TYPE_CHECKING:
    from typing import Self

logger = logging.getLogger(__name__)

# A log gets a line on the progress not more often than this, and at most a hundred of them.
_SECONDS_BETWEEN_LINES = 30


class ConsoleHandler(logging.Handler):
    """Write news to standard output, warnings and errors to standard error with the command's name before them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record above the progress bar, if there is one."""
        from tqdm import tqdm

        try:
            text = self.format(record)
            if record.levelno >= logging.WARNING:
                tqdm.write(f"lungseg: {text}", file=sys.stderr)
            else:
                tqdm.write(text, file=sys.stdout)
                # A log file is read while a service runs.
                sys.stdout.flush()
        except BrokenPipeError:
            raise
        except Exception:
            self.handleError(record)


class _BriefFormatter(logging.Formatter):
    """The message alone, also where the record has a traceback, or one that another handler has formatted."""

    def format(self, record: logging.LogRecord) -> str:
        return record.getMessage()


def configure_console(level: int = logging.INFO, debug: bool = False) -> None:
    """Show on the terminal what lungseg logs from `level` on.

    Standard streams escape characters that they cannot show.

    Args:
        level: a level of :mod:`logging`.
        debug: also show modules' names, tracebacks, and the notices of other libraries.
    """
    # A stream is None where the shell closed it.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    package = logging.getLogger("lungseg")
    for handler in [handler for handler in package.handlers if isinstance(handler, ConsoleHandler)]:
        package.removeHandler(handler)
    handler = ConsoleHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s") if debug else _BriefFormatter())
    package.addHandler(handler)
    package.setLevel(level)
    package.propagate = False
    if level > logging.INFO or sys.stderr is None or not sys.stderr.isatty():
        # MONAI draws bars of its own, which do not belong into a log file; tqdm reads this when it is imported.
        os.environ.setdefault("TQDM_DISABLE", "1")
    if debug:
        warnings.simplefilter("default")
    else:
        silence_libraries()


def is_quiet() -> bool:
    """Whether only warnings and errors are shown."""
    return not logging.getLogger("lungseg").isEnabledFor(logging.INFO)


def print_result(text: object) -> None:
    """Print what a command found, unless it is quiet."""
    if not is_quiet():
        print(text)


class Progress:
    """How many of the inputs are done: a bar on a terminal; elsewhere a line in the log from time to time.

    Args:
        unit: what is counted, in the singular.
    """

    def __init__(self, unit: str) -> None:
        from tqdm import tqdm

        on_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._unit = unit
        # There is no number of all before the first input.
        before = f"waiting for the first {unit}"
        self._bar = tqdm(unit=unit, leave=False, disable=is_quiet() or not on_terminal, bar_format=before)
        self._logs = not on_terminal
        self._began, self._first = time.monotonic(), 0
        self._logged_at, self._logged = self._began, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, done: int, total: int) -> None:
        """Show that `done` of `total` are finished."""
        self._bar.bar_format, self._bar.total = None, total
        self._bar.update(done - self._bar.n)
        now = time.monotonic()
        if not self._first:
            # What came before it, such as reading the weights, does not come again.
            self._began, self._first = now, done
        if self._logs and now - self._logged_at >= _SECONDS_BETWEEN_LINES and done - self._logged >= total / 100:
            self._logged_at, self._logged = now, done
            share, left = 100 * done // total, ""
            if self._first < done < total:
                seconds = (now - self._began) / (done - self._first) * (total - done)
                left = f", about {describe_duration(seconds)} left"
            logger.info("%d of %d %ss (%d %%)%s", done, total, self._unit, share, left)
