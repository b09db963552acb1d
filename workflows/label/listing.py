# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder are studies: MONAI Label goes by names, and an id is a name without its ending."""

from __future__ import annotations

from pathlib import Path

from lungseg.images import find_radiographs
from lungseg.images.formats import ENDINGS, split_ending

PATTERNS = [f"*{form}" for ending in ENDINGS for form in (ending, ending.upper())]
LABELS = "labels"


def look_into(folder: Path) -> tuple[list[Path], list[str], list[str]]:
    """Return a folder's studies, and why others of its files and those in its sub-folders are none: a sentence each.

    Raises:
        UsageError: there is no picture in it.
        LungsegError: it cannot be listed.
    """
    studies, told, below, seen = [], [], [], {}
    for path, _ in find_radiographs([folder], exclude=folder / LABELS).radiographs:
        inside, parts = path.relative_to(folder), split_ending(path.name)
        if len(inside.parts) > 1:
            below.append(f"{inside}: it lies in a sub-folder; only the files of the folder itself are listed")
        elif parts is None:
            told.append(f"{inside}: its name has none of the endings {' '.join(ENDINGS)}")
        elif parts[0] in seen:
            told.append(f"{inside}: {seen[parts[0]]} has the same name before its ending")
        else:
            seen[parts[0]] = path.name
            studies.append(path)
    return studies, told, below
