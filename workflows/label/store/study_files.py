# SPDX-License-Identifier: Apache-2.0
"""Decide which files of a folder are studies. MONAI Label goes by names; a study's id is a name without its ending."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lungseg.io import find_radiographs
from lungseg.io.formats import ENDINGS, split_ending

# MONAI Label's watcher looks for these, in upper and lower case.
PATTERNS = [f"*{ending}" for ending in ENDINGS]
LABELS = "labels"


@dataclass(frozen=True)
class StudyFiles:
    """The radiographs below a folder.

    Attributes:
        studies: the files that are studies.
        excluded: a sentence for each other radiograph of the folder itself.
        nested: a sentence for each radiograph of a sub-folder.
    """

    studies: list[Path]
    excluded: list[str]
    nested: list[str]


def study_names(names: Iterable[str]) -> dict[str, str]:
    """Return id -> file name. Of several files with one id, the first in the order of the endings is the study.

    Hidden files are still being written. Names that are not UTF-8 cannot be part of an answer.
    """
    usable = [name for name in names if not name.startswith(".") and _is_utf8(name)]
    known = [(*parts, name) for name in usable if (parts := split_ending(name))]
    found: dict[str, str] = {}
    for image_id, _, name in sorted(known, key=lambda one: (ENDINGS.index(one[1].lower()), one[2])):
        found.setdefault(image_id, name)
    return found


def find_studies(folder: Path) -> StudyFiles:
    """Find the studies of a folder, and the reasons why its other radiographs are not studies.

    Raises:
        UsageError: it holds no image.
        LungsegError: it cannot be listed.
    """
    studies, excluded, nested = [], [], []
    paths = [path for path, _ in find_radiographs([folder], exclude=folder / LABELS).radiographs]
    chosen = study_names(path.name for path in paths if path.parent == folder)
    for path in paths:
        shown, parts = _shown(path.relative_to(folder)), split_ending(path.name)
        if path.parent != folder:
            nested.append(f"{shown}: it lies in a sub-folder; only the files of the folder itself are listed")
        elif parts is None:
            excluded.append(f"{shown}: its name has none of the endings {' '.join(ENDINGS)}")
        elif not _is_utf8(path.name):
            excluded.append(f"{shown}: its name is not UTF-8; rename it")
        elif chosen[parts[0]] != path.name:
            excluded.append(f"{shown}: {chosen[parts[0]]} has the same name before its ending")
        else:
            studies.append(path)
    return StudyFiles(studies, excluded, nested)


def _is_utf8(name: str) -> bool:
    """Return whether a file's name is UTF-8; Python keeps other bytes as surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(path: Path) -> str:
    return os.fsencode(path).decode(errors="backslashreplace")
