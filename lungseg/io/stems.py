# SPDX-License-Identifier: Apache-2.0
"""Give each radiograph a unique name for its results."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lungseg.io.formats import ENDINGS, split_ending

# Endings that are removed to name the results; any other ending may be a part of the name, as in a DICOM UID.
_PICTURE_ENDINGS = (*ENDINGS, *(f"{ending}.gz" for ending in ENDINGS if not ending.endswith(".gz")))


class Found(NamedTuple):
    """A file that was named, or that is in a folder that was named.

    Attributes:
        path: the file.
        relative: its path relative to `folder`.
        folder: the folder that was named; for a file that was named, its own folder.
        named: whether the file itself was named.
    """

    path: Path
    relative: Path
    folder: str
    named: bool = False


def name_results(found: Sequence[Found]) -> list[tuple[Path, Path]]:
    """Return (path, stem) of each file; no two stems are equal, see `Inputs` of :mod:`lungseg.io.discovery`."""
    return _unique_stems(_with_prefixes(found))


def _with_prefixes(found: Sequence[Found]) -> list[tuple[Path, Path]]:
    """Put the folder's name before the relative path where files from several folders have the same name.

    All files of a folder that was named get the prefix together; of files that were named, only those with the same
    name.
    """
    folders: dict[str, set[str]] = defaultdict(set)
    given: dict[str, set[str]] = defaultdict(set)
    keys = [_key(_split(file.relative)[0]) for file in found]
    for key, file in zip(keys, found, strict=True):
        folders[key].add(file.folder)
        if not file.named:
            given[key].add(file.folder)
    clashing = {folder for same in given.values() if len(same) > 1 for folder in same}
    files = []
    for key, file in zip(keys, found, strict=True):
        prefixed = len(folders[key]) > 1 if file.named else file.folder in clashing
        files.append((file.path, Path(os.path.basename(file.folder), file.relative) if prefixed else file.relative))
    return files


def _unique_stems(files: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Give each file a unique stem: `a_png` and `a_dcm` for files of one name, then `a_png_2`."""
    stems = [_split(relative) for _, relative in files]
    wanted = Counter(_key(stem) for stem, _ in stems)
    # A stem that only one file has stays as it is.
    taken = {key for key, times in wanted.items() if times == 1}
    named = []
    for (path, _), (stem, ending) in zip(files, stems, strict=True):
        if wanted[_key(stem)] > 1:
            stem = stem.with_name(f"{stem.name}_{ending}" if ending else stem.name)
            number, first = 1, stem
            while _key(stem) in taken:
                number += 1
                stem = first.with_name(f"{first.name}_{number}")
            taken.add(_key(stem))
        named.append((path, stem))
    return named


def _split(relative: Path) -> tuple[Path, str]:
    """Return the path without the ending of a picture, and that ending without its dots."""
    parts = split_ending(relative.name, _PICTURE_ENDINGS)
    return (relative.with_name(parts[0]), parts[1].lower().replace(".", "")) if parts else (relative, "")


def _key(stem: Path) -> str:
    """Return a stem as file systems compare it that ignore case."""
    return str(stem).casefold()
