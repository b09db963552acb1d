# SPDX-License-Identifier: Apache-2.0
"""The lines of a run: logged, and kept in a file of its folder."""

from __future__ import annotations

import logging
import time
from os import PathLike
from pathlib import Path

from lungseg.training.engine import is_main_process
from lungseg.utils.files import writing_failed

_log = logging.getLogger(__name__)

# File of the lines, in the folder of the run.
RUN_LOG = "train.log"


class RunLog:
    """Log lines about a run, and append them to its `train.log`, also where nothing is shown.

    Args:
        folder: of the run; None for no file.
        show: whether the lines are logged.
    """

    def __init__(self, folder: str | PathLike[str] | None, show: bool = True) -> None:
        self._file, self._show = None if folder is None else Path(folder) / RUN_LOG, show

    def begin(self) -> None:
        """Write a line with the date into the file, from which on the lines are this call's."""
        self.keep(f"--- {time.strftime('%Y-%m-%d %H:%M:%S %z')}")

    def say(self, line: str) -> None:
        """Log a line and append it to the file.

        Raises:
            UsageError, LungsegError: the file cannot be written.
        """
        if is_main_process():
            if self._show:
                _log.info("%s", line)
            self.keep(line)

    def keep(self, line: str) -> None:
        """Append a line to the file without logging it.

        Raises:
            UsageError, LungsegError: the file cannot be written.
        """
        if self._file is None or not is_main_process():
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError as error:
            raise writing_failed(error, self._file) from error
