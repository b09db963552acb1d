# SPDX-License-Identifier: Apache-2.0
"""What the library logs, on the terminal: plain lines that do not break a progress bar."""

from __future__ import annotations

import logging
import sys
import warnings

from lungseg.utils.imports import silence_libraries


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
                sys.stdout.flush()
        except Exception:
            self.handleError(record)


def configure_console(level: int = logging.INFO) -> None:
    """Show what lungseg logs from `level` on, and keep other libraries' notices from the terminal.

    Standard streams show names that they have no characters for by escapes.
    """
    # There is none where the shell closed it.
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.reconfigure(errors="backslashreplace")
    logger = logging.getLogger("lungseg")
    for handler in [handler for handler in logger.handlers if isinstance(handler, ConsoleHandler)]:
        logger.removeHandler(handler)
    handler = ConsoleHandler()
    if level <= logging.DEBUG:
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    if level > logging.DEBUG:
        silence_libraries()
    else:
        logging.captureWarnings(True)
        warnings.simplefilter("default")
