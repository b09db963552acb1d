# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

from lungseg.errors import LungsegError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def atomic_path(path: str | PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; it becomes `path` when the block ends well.

    Missing folders are made. The content is on the disk before the name is, so that even a power cut leaves the
    old file or the new one. When the block fails, `path` is as it was and the temporary file is gone.

    Raises:
        LungsegError: the disk is full, the folder read-only, or the like (from any OSError of the block).
    """
    path = Path(path)
    # The suffix stays, for writers that choose the format by it; a long name must not grow too long.
    temporary = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}{path.suffix[:20]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _in_words(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _in_words(error: OSError, path: Path) -> LungsegError:
    if error.errno in _FULL:
        what, remedy = "there is no room left for the file", "free some space or write to another folder"
    elif error.errno in _FORBIDDEN:
        what, remedy = "the folder may not be written to", "write to another folder or ask for permission"
    else:
        what, remedy = "the file cannot be written", "write to another folder"
    return LungsegError(f"{what} {path.name} ({error.strerror or error})", path.parent, remedy)
