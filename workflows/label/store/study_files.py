# SPDX-License-Identifier: Apache-2.0
"""Decide which files of a folder are studies. MONAI Label goes by names; a study's id is a name without its ending."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lungseg.io import find_radiographs
from lungseg.io.formats import ENDINGS, split_ending
from lungseg.utils.errors import LungsegError
from lungseg.utils.names import is_file_name, is_utf8, path_inside
from lungseg.utils.text import escape_control

# MONAI Label's watcher looks for these, in upper and lower case.
PATTERNS = [f"*{ending}" for ending in ENDINGS]
LABELS = "labels"
# MONAI Label's tags: the folders of labels that it makes itself.
_TAGS = ("final", "original")
_A_LINK = "it is a link, and links are not followed; copy the file itself"


@dataclass(frozen=True)
class StudyFiles:
    """The radiographs below a folder.

    Attributes:
        studies: the files that are studies.
        excluded: a sentence for each other radiograph of the folder itself, and for labels that are links.
        nested: a sentence for each radiograph of a sub-folder.
    """

    studies: list[Path]
    excluded: list[str]
    nested: list[str]


def is_plain_name(name: str) -> bool:
    """Return whether a study or a label can have this name: an answer can contain it, and people see all of it.

    Hidden files are still being written.
    """
    return is_file_name(name) and not name.startswith(".") and is_utf8(name) and escape_control(name) == name


def study_names(names: Iterable[str]) -> dict[str, str]:
    """Return id -> file name. Of several files with one id, the first in the order of the endings is the study."""
    known = [(*parts, name) for name in names if is_plain_name(name) and (parts := split_ending(name))]
    found: dict[str, str] = {}
    for image_id, _, name in sorted(known, key=lambda one: (ENDINGS.index(one[1].lower()), one[2])):
        found.setdefault(image_id, name)
    return found


def list_files(folder: Path) -> list[str]:
    """Return the names of the files in a folder. Links are not files: nothing outside the folder is ever served."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]


def find_studies(folder: Path) -> StudyFiles:
    """Find the studies of a folder, and the reasons why its other radiographs are not studies.

    Raises:
        UsageError: it holds no image.
        LungsegError: it cannot be listed, or labels cannot be saved in it.
    """
    studies, excluded, nested = [], [], []
    _check_label_folders(folder)
    paths = [path for path, _ in find_radiographs([folder], exclude=folder / LABELS).radiographs]
    chosen = study_names(path.name for path in paths if path.parent == folder and not path.is_symlink())
    for path in paths:
        shown, parts = _shown(path.relative_to(folder)), split_ending(path.name)
        if path.parent != folder:
            nested.append(f"{shown}: it lies in a sub-folder; only the files of the folder itself are listed")
        elif parts is None:
            excluded.append(f"{shown}: its name has none of the endings {' '.join(ENDINGS)}")
        elif path.is_symlink():
            excluded.append(f"{shown}: {_A_LINK}")
        elif not is_utf8(path.name):
            excluded.append(f"{shown}: its name is not UTF-8; rename it")
        elif not is_plain_name(path.name):
            excluded.append(f"{shown}: its name has characters that are not visible; rename it")
        elif chosen[parts[0]] != path.name:
            excluded.append(f"{shown}: {chosen[parts[0]]} has the same name before its ending")
        else:
            studies.append(path)
    return StudyFiles(studies, excluded + _unusable_labels(folder), nested)


def _check_label_folders(folder: Path) -> None:
    for names in ((LABELS,), *((LABELS, tag) for tag in _TAGS)):
        path = path_inside(folder, *names)
        if path.exists() and not path.is_dir():
            raise LungsegError("labels are kept in a folder of this name", path, "rename this file", code="is-file")


def _unusable_labels(folder: Path) -> list[str]:
    """Return a sentence for each label and each folder of labels that is not listed because of a link or its name."""
    sentences = []
    for tag in sorted((folder / LABELS).glob("*/")):
        if tag.is_symlink():
            sentences.append(f"{_shown(tag.relative_to(folder))}: {_A_LINK}")
        elif not is_plain_name(tag.name):
            sentences.append(f"{_shown(tag.relative_to(folder))}: its name is hidden or cannot be shown; rename it")
        else:
            links = (file for file in sorted(tag.iterdir()) if file.is_symlink())
            sentences.extend(f"{_shown(file.relative_to(folder))}: {_A_LINK}" for file in links)
    return sentences


def _shown(path: Path) -> str:
    return escape_control(os.fsencode(path).decode(errors="backslashreplace"))
