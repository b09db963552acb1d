# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

from lungseg.utils.errors import LungsegError, UsageError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
# What `atomic_path` writes to; no writer takes so long that it still does after these seconds.
_TEMPORARY = re.compile(r"\..{0,40}\.[0-9a-f]{8}(\..{0,19})?", re.DOTALL)
_ABANDONED = 600
_NAME = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOENT)


@contextmanager
def atomic_path(path: str | PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; it becomes `path` when the block ends well.

    Missing folders are made. The content is on the disk before the name is, so that even a power cut leaves the
    old file or the new one. When the block fails, `path` is as it was and the temporary file is gone.

    Raises:
        UsageError: the folder is read-only, or cannot be made, or the path has no name.
        LungsegError: the disk is full, or the like (from any OSError of the block).
    """
    path = Path(path)
    if not path.name:
        raise UsageError("this is a folder, not a file", path, "give the name of a file")
    # The suffix stays, for writers that choose the format by it; a long name must not grow too long.
    temporary = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}{path.suffix[:20]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise writing_failed(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_abandoned(folder: str | PathLike) -> None:
    """Remove what writers left half done under `folder` because they were killed, as far as the disk lets go of it."""
    for parent, _, names in os.walk(folder):
        for name in filter(_TEMPORARY.fullmatch, names):
            with suppress(OSError):
                file = Path(parent, name)
                if time.time() - file.stat().st_mtime > _ABANDONED:
                    file.unlink()


def usable_folder(path: str | PathLike) -> Path:
    """Make the folder `path`, try that it can be written to, and return it: before the work, not after it.

    Raises:
        UsageError: it is a file, is read-only, or cannot be made.
        LungsegError: the disk is full.
    """
    path = Path(path)
    # pathlib raises an error of its own for a name that is too long.
    if os.path.exists(path) and not os.path.isdir(path):
        raise UsageError("this is a file, not a folder", path, "choose another folder for the results")
    trial = path / f".{secrets.token_hex(4)}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        trial.write_bytes(b"lungseg")
    except OSError as error:
        raise writing_failed(error, trial) from error
    finally:
        with suppress(OSError):
            trial.unlink(missing_ok=True)
    return path


def writing_failed(error: OSError, path: Path) -> LungsegError:
    """Say in words why the file `path` could not be written."""
    reason = error.strerror or error
    if error.errno in _FULL:
        remedy = "free some space or write to another folder"
        return LungsegError(f"there is no room left for the file {path.name} ({reason})", path.parent, remedy)
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        what = "this folder cannot be written to, for a file has its name or that of a folder above it"
        return UsageError(what, path.parent, "rename that file, or write to another folder")
    if error.errno in _FORBIDDEN or (error.errno in _NAME and not os.path.isdir(path.parent)):
        return UsageError(f"this folder cannot be written to ({reason})", path.parent, "write to another folder")
    if error.errno == errno.ENAMETOOLONG:
        what = f"the file {path.name} cannot be written ({reason})"
        return LungsegError(what, path.parent, "give the input a shorter name")
    if os.path.isdir(path):
        what = f"the file {path.name} cannot be written, for a folder has its name"
        return LungsegError(what, path.parent, "rename the input, or write to another folder")
    return LungsegError(f"the file {path.name} cannot be written ({reason})", path.parent, "write to another folder")


def disk_is_to_blame(error: LungsegError) -> bool:
    """Whether a file could not be written for a reason that other files share, and not because of its own name."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno not in _NAME
