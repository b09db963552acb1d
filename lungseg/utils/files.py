# SPDX-License-Identifier: Apache-2.0
"""Write files completely or not at all."""

from __future__ import annotations

import errno
import logging
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

from lungseg.utils.errors import LungsegError, UsageError

logger = logging.getLogger(__name__)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
# The temporary files of `atomic_path` and `usable_folder`.
_TEMPORARY = re.compile(r"\..{0,40}\.[0-9a-f]{8}(\..{0,19})?", re.DOTALL)
_NAME = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOENT)


@contextmanager
def atomic_path(path: str | PathLike[str], durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; it is renamed to `path` when the block succeeds.

    Missing folders are created. The content is flushed to the disk before the file is renamed, so that even a power
    cut leaves the old file or the new one. When the block fails, `path` does not change and the temporary file is
    removed.

    Args:
        path: of the file.
        durable: whether to flush, which takes most of the time of small files. Without that, a power cut may leave a
            damaged file.

    Raises:
        UsageError: the folder is read-only or cannot be created, or the path has no name.
        LungsegError: the disk is full, or the block raised another OSError.
    """
    path = Path(path)
    if not path.name:
        raise UsageError("this is a folder, not a file", path, "give the name of a file", code="is-folder")
    # Writers choose the format by the suffix. A long name must not become too long.
    temporary = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}{path.suffix[:20]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if durable:
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise writing_failed(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_abandoned(folder: str | PathLike[str], sub_folders: bool = True) -> None:
    """Remove the temporary files in `folder` that killed writers left, as far as the system allows it.

    No writer may be at work there: see :func:`only_user`.
    """
    for parent, folders, names in os.walk(os.fspath(folder)):
        if not sub_folders:
            folders.clear()
        for name in filter(_TEMPORARY.fullmatch, names):
            with suppress(OSError):
                os.unlink(os.path.join(parent, name))


@contextmanager
def only_user(lock: str | PathLike[str], wait: float = 0) -> Iterator[None]:
    """Hold the lock that this file stands for during the block; the system releases it however the process ends.

    Args:
        lock: the file.
        wait: seconds to wait for another process that holds it.

    Raises:
        UsageError: another process holds it, or its folder cannot be written to.
        LungsegError: the disk is full.
    """
    from filelock import FileLock, Timeout

    lock = Path(lock)
    held = FileLock(lock, timeout=wait)
    try:
        held.acquire()
    except Timeout as error:
        what, remedy = "another run writes to this folder", "wait for its end, or choose another folder"
        raise UsageError(what, lock.parent, remedy, code="folder-in-use") from error
    except OSError as error:
        raise writing_failed(error, lock) from error
    try:
        yield
    finally:
        held.release()


def is_in_use(lock: str | PathLike[str]) -> bool:
    """Return whether a process holds the lock that this file stands for; see `only_user`."""
    if not os.path.exists(lock):
        return False
    try:
        with only_user(lock):
            return False
    except LungsegError:
        return True


def usable_folder(path: str | PathLike[str]) -> Path:
    """Create the folder `path`, test that it can be written to, and return it: before the work, not after it.

    Raises:
        UsageError: it is a file, is read-only, or cannot be created.
        LungsegError: the disk is full.
    """
    path = Path(path)
    # pathlib raises an error of its own for a name that is too long.
    if os.path.exists(path) and not os.path.isdir(path):
        raise UsageError("this is a file, not a folder", path, "choose another folder for the results", code="is-file")
    trial = path / f".trial.{secrets.token_hex(4)}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        trial.write_bytes(b"lungseg")
    except OSError as error:
        raise writing_failed(error, trial) from error
    finally:
        with suppress(OSError):
            trial.unlink(missing_ok=True)
    return path


@contextmanager
def private_files() -> Iterator[None]:
    """Keep other users from the files that this process makes during the block."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def private_folder(path: str | PathLike[str]) -> Path:
    """Create a folder for state that holds patients' data, or close an existing one to other users, and return it.

    Its mode is 0700, so the files in it need no mode of their own. It must be the program's own folder.

    Raises:
        UsageError: it is a folder for everybody, such as `/tmp` (folder-shared), or it cannot be written to.
        LungsegError: the disk is full.
    """
    path = Path(path)
    if os.path.isdir(path) and path.stat().st_mode & stat.S_ISVTX:
        remedy = "name a folder inside it"
        raise UsageError(
            "this folder is for all users, and would hold patients' data", path, remedy, code="folder-shared"
        )
    with suppress(OSError):  # `usable_folder` finds the reason
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    usable_folder(path)
    if path.stat().st_mode & 0o077:
        try:
            path.chmod(0o700)
        except OSError as error:  # it belongs to another user
            logger.warning("%s: other users may be able to read this folder (%s)", path, error.strerror)
    return path


def writing_failed(error: OSError, path: Path) -> LungsegError:
    """Return the error that explains why the file `path` could not be written."""
    reason = error.strerror or error
    if error.errno in _FULL:
        what = f"there is no room left for the file {path.name} ({reason})"
        remedy = "free some space or write to another folder"
        return LungsegError(what, path.parent, remedy, code="disk-full")
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        what = "this folder cannot be written to, because a file has its name or the name of a folder above it"
        return UsageError(what, path.parent, "rename that file, or write to another folder", code="not-writable")
    if error.errno in _FORBIDDEN or (error.errno in _NAME and not os.path.isdir(path.parent)):
        what = f"this folder cannot be written to ({reason})"
        return UsageError(what, path.parent, "write to another folder", code="not-writable")
    if error.errno == errno.ENAMETOOLONG:
        what = f"the file {path.name} cannot be written ({reason})"
        return LungsegError(what, path.parent, "give the input a shorter name", code="name-too-long")
    if os.path.isdir(path):
        what = f"the file {path.name} cannot be written, because a folder has its name"
        return LungsegError(what, path.parent, "rename the input, or write to another folder", code="is-folder")
    what = f"the file {path.name} cannot be written ({reason})"
    return LungsegError(what, path.parent, "write to another folder", code="not-written")


def disk_is_to_blame(error: LungsegError) -> bool:
    """Return whether a file could not be written for a reason that other files share, not because of its own name."""
    # Libraries raise OSError, without a number, for the content of a file too.
    return isinstance(error.__cause__, OSError) and error.__cause__.errno not in (None, *_NAME)
