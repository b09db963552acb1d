# SPDX-License-Identifier: Apache-2.0
"""Read a file once, so that everything that is found in it comes from the same bytes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import IO

from lungseg.io.limits import MAX_BYTES, TOO_LARGE
from lungseg.utils.errors import LungsegError

# Opening a pipe would otherwise wait for its writer for ever.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)
_BLOCK = 2**20


@dataclass(frozen=True)
class Content:
    """The bytes of a file.

    Attributes:
        path: the file.
        data: all of its bytes, or those of the file that is packed in it.
        packed_sha256: the SHA-256 of its own bytes, in hex, if another file is packed in it.
    """

    path: Path
    data: bytes
    packed_sha256: str | None = None

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the file's own bytes, in hex."""
        return self.packed_sha256 or hashlib.sha256(self.data).hexdigest()


def read_content(path: str | PathLike[str]) -> Content:
    """Read a file whole.

    Raises:
        LungsegError: the file does not exist, is not a regular file, cannot be read, is empty, has more bytes than any
            radiograph, or changed while it was read.
    """
    path = Path(path)
    with _opened(path) as (file, size):
        if not size:
            raise LungsegError("the file is empty", path, "copy or export it again", code="empty-file")
        data = file.read(size + 1)
        if len(data) != size:
            raise changed_while_read(path)
    return Content(path, data)


def content_hash(path: str | PathLike[str]) -> str | None:
    """Return the SHA-256 of a file's bytes, in hex; None if it cannot be read, changes or is too large."""
    digest = hashlib.sha256()
    try:
        with _opened(Path(path)) as (file, size):
            for start in range(0, size, _BLOCK):
                digest.update(file.read(min(_BLOCK, size - start)))
    except LungsegError:
        return None
    return digest.hexdigest()


def changed_while_read(path: str | PathLike[str]) -> LungsegError:
    """Return the error for a file that was replaced or written to meanwhile."""
    remedy = "wait until it is written completely, and run again"
    return LungsegError("the file changed while it was read", path, remedy, code="changed-while-read")


def _check_file(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        what = "this is a folder where a file is expected"
        raise LungsegError(what, path, "name one of its files", code="is-folder")
    if not stat.S_ISREG(status.st_mode):
        remedy = "copy its content to a file first"
        raise LungsegError("this is not a regular file", path, remedy, code="not-regular-file")
    if status.st_size > MAX_BYTES:
        what = f"the file has {status.st_size} bytes, more than any radiograph"
        raise LungsegError(what, path, TOO_LARGE, code="too-large")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    """Offer an open file of a size that is possible, and its size; raise an error if it changes meanwhile."""
    with _errors_named(path):
        _check_file(os.stat(path), path)
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _AT_ONCE)) as file:
            before = os.fstat(file.fileno())
            # Another file may have taken its place.
            _check_file(before, path)
            yield file, before.st_size
            after = os.fstat(file.fileno())
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise changed_while_read(path)


@contextmanager
def _errors_named(path: Path) -> Iterator[None]:
    """Turn the errors of the system into sentences about the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise LungsegError("there is no such file", path, "check the name", code="not-found") from error
    except PermissionError as error:
        remedy = "ask for permission to read it"
        raise LungsegError("this file may not be read", path, remedy, code="not-permitted") from error
    except (OSError, ValueError) as error:
        remedy = "check the name and the disk"
        raise LungsegError(f"this file cannot be read ({error})", path, remedy, code="not-readable") from error
