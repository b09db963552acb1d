# SPDX-License-Identifier: Apache-2.0
"""Files and folders as a user names them become a list of radiographs, each with a name of its own."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from lungseg.io.dicom.sop_classes import is_non_image
from lungseg.io.formats import ENDINGS, split_ending
from lungseg.utils.errors import LungsegError, UsageError

# Taken off to name the output; any other ending may be a part of the name, as in a DICOM UID.
_PICTURES = (*ENDINGS, ".bmp", ".gif")
_NO_PICTURES = re.compile(
    r"\.(bib|cfg|csv|db|docx?|html?|ini|ipynb|jsonl?|log|md|odt|onnx|pdf|pth?|py|rst|sh|tar|tgz|toml|tsv|txt"
    r"|xlsx?|xml|ya?ml|zip)(\.(bz2|gz|xz|zst))?$|^(\.|(dicomdir|license|makefile|readme)$|events\.out\.tfevents\.)",
    re.IGNORECASE,
)
# It lies in the output folders of `lungseg predict`, beside one folder of each kind, which holds no radiographs.
_RECORDS = ("records.jsonl", "done.jsonl")  # the second one is that of versions before 1.0
RESULT_FOLDERS = ("masks", "labels", "overlays", "thumbnails", "probabilities", "nifti", "dicom-seg")
# What tells the other folders that lungseg writes pictures to: those of a training, and of an evaluation.
_WRITTEN = (*({name} for name in _RECORDS), {"run.json", "history.json"}, {"summary.json", "cases.csv"})


class Inputs(NamedTuple):
    """What was found.

    Attributes:
        radiographs: (path, stem) of each file: `stem` is the relative path, without an ending, that its results
            are written to; no two are alike, not even where upper and lower case are the same. Append an
            ending to it (``f"{stem}.png"``), for what follows a dot in it belongs to the name.
        skipped: what was passed over in the folders: hidden files, known non-pictures, links to folders, and what
            earlier runs wrote: their folders or, of a folder of results that was given itself, those of each kind.
        companions: likewise, DICOM objects that are no radiographs (:mod:`lungseg.io.dicom.sop_classes`).
    """

    radiographs: list[tuple[Path, Path]]
    skipped: list[Path]
    companions: list[Path]


class _Found(NamedTuple):
    """A file, its path relative to the folder that was given, that folder (its own if it was named), whether it was."""

    path: Path
    relative: Path
    folder: str
    named: bool = False


def find_radiographs(inputs: Iterable[str | PathLike], exclude: str | PathLike | None = None) -> Inputs:
    """List the files that `inputs` mean: a file itself, whatever its name, or all that a folder holds.

    Args:
        inputs: files and folders; folders are searched to the bottom, in the order of their names. A file that
            is not there is listed all the same, for reading it to say so.
        exclude: a folder to leave out without a word, such as the one that the results are to be written to.

    Raises:
        UsageError: nothing was named, or a folder holds no picture.
        LungsegError: a folder cannot be listed.
    """
    found: dict[str, _Found] = {}
    skipped: list[Path] = []
    companions: list[Path] = []
    for name in inputs:
        path = Path(name)
        # pathlib raises an error of its own for a name that is too long.
        if not os.path.isdir(path):
            absolute = os.path.abspath(path)
            found.setdefault(absolute, _Found(path, Path(path.name), os.path.dirname(absolute), named=True))
            continue
        inside = []
        for file in _walk(path, exclude, skipped):
            kept = skipped if _NO_PICTURES.search(file.name) else companions if is_non_image(file) else inside
            kept.append(file)
        if not inside:
            remedy = "name a folder with PNG, JPEG, TIFF, DICOM or NIfTI files"
            raise UsageError("the folder holds no picture", path, remedy)
        for file in inside:
            found.setdefault(os.path.abspath(file), _Found(file, file.relative_to(path), os.path.abspath(path)))
    if not found:
        raise UsageError("no radiograph was named", remedy="name files or folders")
    return Inputs(_with_own_stems(_by_folder(list(found.values()))), skipped, companions)


def matching_files(folder: str | PathLike, pattern: str) -> list[str]:
    """List the files of `folder` whose names match `pattern` (`*.png`; `**/*.png` in sub-folders too), in their order.

    Raises:
        UsageError: none does, or the results of two would have one name.
    """
    pattern_here = os.path.join(glob.escape(os.fspath(folder)), pattern)
    found = sorted(filter(os.path.isfile, glob.glob(pattern_here, recursive=True)))
    if not found:
        raise UsageError(f"no file here matches {pattern}", Path(folder), "name the folder (dataset_dir) and a pattern")
    results: dict[str, str] = {}
    for file in found:
        # As MONAI's SaveImage names them.
        other = results.setdefault(os.path.splitext(file.removesuffix(".gz"))[0], file)
        if other != file:
            what = f"its results would take the place of those of {os.path.basename(other)}"
            raise UsageError(what, file, "give a pattern that one of them matches")
    return found


def _walk(root: Path, exclude: str | PathLike | None, skipped: list[Path]) -> Iterator[Path]:
    """Yield the files under `root`; links to folders are not followed, for they may lead round in a circle."""

    def refuse(error: OSError):
        raise LungsegError(f"the folder cannot be listed ({error.strerror})", error.filename, "ask for permission")

    excluded = None if exclude is None else os.path.realpath(exclude)
    for folder, folders, files in os.walk(root, onerror=refuse):
        at_root = Path(folder) == root
        if not at_root and any(names.issubset(files) for names in _WRITTEN):
            skipped.append(Path(folder))
            folders.clear()
            continue
        results = RESULT_FOLDERS if at_root and not set(_RECORDS).isdisjoint(files) else ()
        for name in sorted(folders):
            path = Path(folder, name)
            if name.startswith(".") or path.is_symlink() or name in results:
                skipped.append(path)
                folders.remove(name)
            elif os.path.realpath(path) == excluded:
                folders.remove(name)
        folders.sort()
        yield from (Path(folder, name) for name in sorted(files))


def _by_folder(found: Sequence[_Found]) -> list[tuple[Path, Path]]:
    """Tell apart files of one name as if the folder above the given ones had been given.

    Of a file that was named, that concerns this file; of a folder, all that is in it, for they belong together.
    """
    folders: dict[str, set[str]] = defaultdict(set)
    given: dict[str, set[str]] = defaultdict(set)
    keys = [_key(_split(file.relative)[0]) for file in found]
    for key, file in zip(keys, found, strict=True):
        folders[key].add(file.folder)
        if not file.named:
            given[key].add(file.folder)
    apart = {folder for alike in given.values() if len(alike) > 1 for folder in alike}
    files = []
    for key, file in zip(keys, found, strict=True):
        prefixed = len(folders[key]) > 1 if file.named else file.folder in apart
        files.append((file.path, Path(os.path.basename(file.folder), file.relative) if prefixed else file.relative))
    return files


def _with_own_stems(files: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Tell apart what would be written to the same place: `a_png` and `a_dcm`, then `a_png_2`."""
    stems = [_split(relative) for _, relative in files]
    wanted = Counter(_key(stem) for stem, _ in stems)
    # Names that nobody else wants are kept, whatever the others turn to.
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
    """Return the path without the ending of a picture file, and that ending without its dots."""
    parts = split_ending(relative.name, _PICTURES)
    return (relative.with_name(parts[0]), parts[1].lower().replace(".", "")) if parts else (relative, "")


def _key(stem: Path) -> str:
    return str(stem).casefold()
