# SPDX-License-Identifier: Apache-2.0
"""Names that strangers choose (UIDs, studies, labels), and the one way to turn them into paths."""

from __future__ import annotations

import os
import re
from os import PathLike
from pathlib import Path

from lungseg.utils.errors import LungsegError

# DICOM PS3.5, section 9.1. Leading zeros are not allowed there, but some devices write them, and they are harmless.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64
# The separators of all systems, and the character that ends a name in C.
_NOT_IN_NAMES = re.compile(r"[/\\\0]")


def is_uid(text: str) -> bool:
    """Return whether a text is a DICOM UID: numbers with dots between them, at most 64 characters."""
    return len(text) <= _LONGEST_UID and _UID.fullmatch(text) is not None


def is_utf8(name: str) -> bool:
    """Return whether a file's name is UTF-8; Python keeps other bytes as surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_file_name(name: str) -> bool:
    """Return whether a text names one file or folder on every system, and not a path."""
    return name not in ("", ".", "..") and not _NOT_IN_NAMES.search(name)


def path_inside(folder: str | PathLike[str], *names: str) -> Path:
    """Join names that strangers chose, each of one file or folder, and return a path that lies in `folder`.

    `folder` itself may be a link; nothing below it may be one. The file need not exist.

    Raises:
        LungsegError: a name is not the name of a file (name-is-path), or the path leads over a link (name-is-link).
    """
    path = Path(folder)
    for name in names:
        if not is_file_name(name):
            what = f"{name!r} is not the name of a file"
            raise LungsegError(what, remedy="use a name without separators", code="name-is-path")
        path = path / name
        if path.is_symlink():
            what, remedy = "this is a link, and links are not followed here", "replace it by the file or folder itself"
            raise LungsegError(what, path, remedy, code="name-is-link")
    return _checked(path, Path(folder))


def _checked(path: Path, folder: Path) -> Path:
    """Return the path if it lies in the folder, as the system resolves both: a second look that knows no grammar."""
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise LungsegError("this path leaves its folder", path, "use another name", code="name-is-path")
    return path
