# SPDX-License-Identifier: Apache-2.0
"""Meanings of the names of folders: images or masks, train or test, and the classes of a data set."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lungseg.data.pairing import list_files, picture_name
from lungseg.utils.text import escape_control

Role = Literal["images", "masks", "labels"]

# Names in small letters without separators; the first ones are preferred where a folder has several.
_WORDS: dict[Role, str] = {
    "images": "cxrpng|images?|imgs?|cxrs?|xrays?|radiographs?|pictures?|img",
    "masks": "lungmasks?|masks?|lungsegmentations?|segmentations?|groundtruths?|maskslungs?|maskpng|masksimages?",
    "labels": "leftrightlabels?|labelmaps?|labels?",
}
_SECTION = "tr|ts|train|training|val|valid|validation|test|testing"
_ROLES = {role: re.compile(rf"(?:2d)?({_SECTION})?({words})({_SECTION})?") for role, words in _WORDS.items()}
_SECTIONS = {"tr": "train", "ts": "test", "tra": "train", "val": "validation", "tes": "test"}
# Folders of public data sets, each of which holds the cases of one diagnosis, origin or sex.
_CLASS = re.compile(
    r"(non)?covid(19)?|normal|healthy|abnormal|(viral|bacterial)?pneumonia|(lung)?opacity|lungopacity|tuberculosis|tb|"
    r"positive|negative|sick|cardiomegaly|effusion|pneumothorax|nodules?|nonnodules?|cancer|infected|male|female|"
    r"(fold|part|batch|class|site|hospital|center|centre)[0-9a-z]?[0-9]*"
)


@dataclass(frozen=True)
class Part:
    """A folder whose name says that it holds images, masks or label maps.

    Attributes:
        folder: the folder.
        role: of its files.
        section: "train", "validation", "test", or empty.
        rank: the smaller, the more it is preferred to others of the same role.
    """

    folder: Path
    role: Role
    section: str
    rank: int


def parts_of(folder: Path) -> list[Part]:
    """Return the sub-folders that hold images, masks or label maps by their names, the preferred ones first."""
    found = []
    for child in sub_folders(folder):
        for role, pattern in _ROLES.items():
            if match := pattern.fullmatch(plain(child.name)):
                first, word, last = match.groups()
                rank = next(n for n, one in enumerate(_WORDS[role].split("|")) if re.fullmatch(one, word))
                found.append(Part(child, role, section_of(first or last or ""), rank))
                break
    return sorted(found, key=lambda part: (part.rank, part.folder))


def section_of(word: str) -> str:
    """Return the section that a folder's name states: "train", "validation" or "test", else an empty text."""
    bare = re.fullmatch(rf"({_SECTION})?({_WORDS['images']})?({_SECTION})?", plain(word))
    stated = (bare[1] or bare[3] or "") if bare else ""
    return _SECTIONS.get(stated[:3], "")


def class_of(name: str) -> str:
    """Return the class of a case where each has a folder: `COVID` of `Train/COVID/images/x`; else an empty text."""
    *folders, _ = name.split("/")
    if not any(_ROLES["images"].fullmatch(plain(folder)) for folder in folders):
        return ""
    classes = [one for one in folders if not section_of(one) and not _ROLES["images"].fullmatch(plain(one))]
    return classes[-1] if classes else ""


def is_class_or_section(name: str) -> bool:
    """Return whether a folder of this name holds a class or a section of a data set."""
    return bool(section_of(name) or _CLASS.fullmatch(plain(name)))


def own_name(folder: Path) -> str:
    """Return the name of a folder; of the one above it if it is called `images` or the like. The root has none."""
    named = Path(os.path.abspath(folder))
    if _ROLES["images"].fullmatch(plain(named.name)):
        named = named.parent
    return escape_control(named.name)


def sub_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted, without hidden ones; none if it may not be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(one.path) for one in entries if not one.name.startswith(".") and one.is_dir())
    except OSError:
        return []


def folders_below(folder: Path, depth: int) -> list[Path]:
    """Return the folder and those below it, level by level, down to `depth`."""
    found = level = [folder]
    for _ in range(depth):
        level = [child for one in level for child in sub_folders(one)]
        found = found + level
    return found


def has_pictures(folder: Path) -> bool:
    """Return whether pictures lie directly in a folder."""
    try:
        with os.scandir(folder) as entries:
            return any(
                not one.name.startswith(".") and not one.is_dir() and picture_name(Path(one.path)) for one in entries
            )
    except OSError:
        return False


def has_pictures_below(folder: Path) -> bool:
    """Return whether pictures lie in a folder or below it."""
    return has_pictures(folder) or bool(list_files(folder))


def plain(name: str) -> str:
    """Return a folder's name in small letters, without separators."""
    return re.sub(r"[\s_.()-]+", "", name.lower())
