# SPDX-License-Identifier: Apache-2.0
"""Folders for temporary files, of which none stays for long where its process was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

from lungseg.utils.files import is_in_use, only_user

PREFIX = "lungseg-"
LOCK = ".lock"
# Seconds in which a process that has made a folder locks it.
YOUNG = 60


@contextmanager
def scratch_folder(parent: str | PathLike[str] | None = None) -> Iterator[Path]:
    """Make a folder that only this user may read, and remove it with the block.

    Those that this user's killed processes left are removed before: they may hold copies of radiographs.

    Args:
        parent: where to make it; None for the system's folder of temporary files.
    """
    parent = Path(tempfile.gettempdir() if parent is None else parent)
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent, ignore_cleanup_errors=True) as made,
        only_user(Path(made, LOCK), wait=YOUNG),
    ):
        yield Path(made)


def _is_abandoned(folder: Path) -> bool:
    lock = folder / LOCK
    is_old = time.time() - os.stat(folder).st_mtime > YOUNG
    return is_old and lock.is_file() and not is_in_use(lock)
