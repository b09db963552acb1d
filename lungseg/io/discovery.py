# SPDX-License-Identifier: Apache-2.0
"""List the radiographs in the files and folders that a user names, each with a unique name for its results."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple, NoReturn

from lungseg.io.archives import how_to_unpack, is_archive
from lungseg.io.companions import companion_kind
from lungseg.io.formats import ENDINGS, split_ending
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.text import shorten_list

# Endings that are removed to name the results; any other ending may be a part of the name, as in a DICOM UID.
_PICTURE_ENDINGS = (*ENDINGS, *(f"{ending}.gz" for ending in ENDINGS if not ending.endswith(".gz")))
_NOT_PICTURES = re.compile(
    r"\.(bat|bib|cfg|chm|cmd|css|csv|db|dll|docx?|exe|html?|inf|ini|ipynb|jar|js|jsonl?|lnk|lock|log|md|msi|odt|onnx|pdf"
    r"|pptx?|pth?|py|rst|rtf|sh|svg|toml|tsv|txt|url|xlsx?|xml|ya?ml)(\.(bz2|gz|xz|zst))?$"
    r"|^(\.|~\$|(dicomdir(;1)?|license|makefile|readme)$|events\.out\.tfevents\.)",
    re.IGNORECASE,
)
_DICOMDIR = re.compile("dicomdir", re.IGNORECASE)
_KINDS_SHOWN = 3
# `lungseg predict` writes this record into its output folder, beside a folder for each kind of result.
_RECORDS = ("records.jsonl", "done.jsonl")  # the second one is that of versions before 1.0
RESULT_FOLDERS = ("masks", "labels", "overlays", "thumbnails", "heart", "probabilities", "nifti", "dicom-seg")
# Files that mark the folders into which lungseg writes pictures: of predictions, of a training, of an evaluation.
_WRITTEN = (*({name} for name in _RECORDS), {"run.json", "history.json"}, {"summary.json", "cases.csv"})


class Inputs(NamedTuple):
    """Radiographs, and the files that were skipped.

    Attributes:
        radiographs: (path, stem) of each file. `stem` is the relative path of its results without an ending; no two
            stems are equal, even if upper and lower case are the same. Append an ending to it
            (``f"{stem}.png"``): a dot in it belongs to the name.
        skipped: hidden files, files that are not pictures, links to folders, and results of earlier runs in the
            folders.
        companions: DICOM objects in the folders that state to be another object than a chest radiograph, and which
            (:mod:`lungseg.io.companions`).
        archives: archives in the folders, which may hold radiographs (:mod:`lungseg.io.archives`).
    """

    radiographs: list[tuple[Path, Path]]
    skipped: list[Path]
    companions: dict[Path, str]
    archives: list[Path]


class _Found(NamedTuple):
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


def find_radiographs(
    inputs: Iterable[str | PathLike[str]],
    exclude: str | PathLike[str] | None = None,
    allow_none: bool = False,
) -> Inputs:
    """List the files of `inputs`: a file itself, whatever its name, or the pictures in a folder.

    Args:
        inputs: files and folders. Folders are searched recursively, in the order of their names. A file that does not
            exist is listed: reading it will report the error.
        exclude: a folder that is skipped and not reported, such as the folder for the results.
        allow_none: whether a folder may hold no picture.

    Raises:
        UsageError: no input was named, or a folder holds no picture though it must.
        LungsegError: a folder cannot be listed.
    """
    found: dict[str, _Found] = {}
    skipped: list[Path] = []
    companions: dict[Path, str] = {}
    archives: list[Path] = []
    for name in inputs:
        path = Path(name)
        # pathlib raises its own error for a name that is too long.
        if not os.path.isdir(path):
            absolute = os.path.abspath(path)
            found.setdefault(absolute, _Found(path, Path(path.name), os.path.dirname(absolute), named=True))
            continue
        inside: list[Path] = []
        for file in _walk(path, exclude, skipped):
            if _NOT_PICTURES.search(file.name):
                skipped.append(file)
            elif is_archive(file):
                archives.append(file)
            elif kind := companion_kind(file):
                companions[file] = kind
            else:
                inside.append(file)
        if not inside and not allow_none:
            raise _no_pictures(path, skipped, archives, companions)
        for file in inside:
            found.setdefault(os.path.abspath(file), _Found(file, file.relative_to(path), os.path.abspath(path)))
    if not found and not allow_none:
        raise UsageError("no radiograph was named", remedy="name files or folders", code="no-input")
    return Inputs(_unique_stems(_with_prefixes(list(found.values()))), skipped, companions, archives)


def _no_pictures(
    folder: Path, skipped: Sequence[Path], archives: Sequence[Path], companions: Mapping[Path, str]
) -> UsageError:
    """Return the error for a folder without a radiograph; it says which other objects, or archives, there are."""
    if said := sorted({kind for file, kind in companions.items() if folder in file.parents}):
        what = f"the folder holds no chest radiograph: its DICOM files say {shorten_list(said, _KINDS_SHOWN)}"
        remedy = "name a folder with chest radiographs, or a file itself to have it segmented anyway"
        return UsageError(what, folder, remedy, code="no-pictures")
    remedy = "name a folder with PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000, DICOM or NIfTI files"
    archive = next((file for file in archives if folder in file.parents), None)
    if archive:
        remedy = f"unpack the archives in it, for example: {how_to_unpack(archive) or archive.name}"
    elif any(_DICOMDIR.match(file.name) and folder in file.parents for file in skipped):
        remedy = "its DICOMDIR lists files that are not there: copy the whole disc, and name the folder of the copy"
    return UsageError("the folder holds no picture", folder, remedy, code="no-pictures")


def matching_files(folder: str | PathLike[str], pattern: str) -> list[str]:
    """List the files of `folder` whose names match `pattern` (`*.png`, or `**/*.png` for sub-folders), sorted.

    Raises:
        UsageError: no file matches, or the results of two files would have the same name.
    """
    pattern_here = os.path.join(glob.escape(os.fspath(folder)), pattern)
    found = sorted(filter(os.path.isfile, glob.glob(pattern_here, recursive=True)))
    if not found:
        remedy = "name the folder (dataset_dir) and a pattern"
        raise UsageError(f"no file here matches {pattern}", Path(folder), remedy, code="no-pictures")
    results: dict[str, str] = {}
    for file in found:
        # The names that MONAI's SaveImage gives to results.
        other = results.setdefault(os.path.splitext(file.removesuffix(".gz"))[0], file)
        if other != file:
            what = f"its results would overwrite those of {os.path.basename(other)}"
            raise UsageError(what, file, "give a pattern that only one of them matches", code="name-clash")
    return found


def _walk(root: Path, exclude: str | PathLike[str] | None, skipped: list[Path]) -> Iterator[Path]:
    """Yield the files under `root`. Links to folders are not followed, because they may lead back to `root`."""

    def refuse(error: OSError) -> NoReturn:
        what = f"the folder cannot be listed ({error.strerror})"
        raise LungsegError(what, error.filename, "ask for permission", code="not-permitted")

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


def _with_prefixes(found: Sequence[_Found]) -> list[tuple[Path, Path]]:
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
