# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder are studies: MONAI Label goes by names, and an id is a name without its ending."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lungseg.io import find_radiographs
from lungseg.io.formats import ENDINGS, split_ending

# What MONAI Label's watcher looks for, in capital letters and small ones.
PATTERNS = [f"*{ending}" for ending in ENDINGS]
LABELS = "labels"


def listed(names: Iterable[str]) -> dict[str, str]:
    """Return id -> name of those files that are listed; of one id the first in the order of the endings is.

    Hidden ones are being written, and of a name that is not UTF-8 no answer could tell.
    """
    seen = [name for name in names if not name.startswith(".") and _can_be_told(name)]
    known = [(*parts, name) for name in seen if (parts := split_ending(name))]
    found: dict[str, str] = {}
    for image_id, _, name in sorted(known, key=lambda one: (ENDINGS.index(one[1].lower()), one[2])):
        found.setdefault(image_id, name)
    return found


def look_into(folder: Path) -> tuple[list[Path], list[str], list[str]]:
    """Return a folder's studies, and why others of its files and those in its sub-folders are none: a sentence each.

    Raises:
        UsageError: there is no picture in it.
        LungsegError: it cannot be listed.
    """
    studies, told, below = [], [], []
    paths = [path for path, _ in find_radiographs([folder], exclude=folder / LABELS).radiographs]
    chosen = listed(path.name for path in paths if path.parent == folder)
    for path in paths:
        shown, parts = _shown(path.relative_to(folder)), split_ending(path.name)
        if path.parent != folder:
            below.append(f"{shown}: it lies in a sub-folder; only the files of the folder itself are listed")
        elif parts is None:
            told.append(f"{shown}: its name has none of the endings {' '.join(ENDINGS)}")
        elif not _can_be_told(path.name):
            told.append(f"{shown}: its name is not UTF-8; rename it")
        elif chosen[parts[0]] != path.name:
            told.append(f"{shown}: {chosen[parts[0]]} has the same name before its ending")
        else:
            studies.append(path)
    return studies, told, below


def _can_be_told(name: str) -> bool:
    """Whether a file's name can be part of an answer: Python keeps bytes that are not UTF-8 as surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(path: Path) -> str:
    return os.fsencode(path).decode(errors="backslashreplace")
