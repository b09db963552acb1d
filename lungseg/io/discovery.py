# SPDX-License-Identifier: Apache-2.0
"""List the radiographs in the files and folders that a user names, each with a unique name for its results."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple, NoReturn

from lungseg.io.archives import how_to_unpack, is_archive, is_named_as_archive
from lungseg.io.companions import companion_kind
from lungseg.io.masks import LABEL_FOLDER, find_masks, holds_studies
from lungseg.io.stems import Found, name_results
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.text import shorten_list

_NOT_PICTURES = re.compile(
    r"\.(bat|bib|cfg|chm|cmd|css|csv|db|dll|docx?|exe|html?|inf|ini|ipynb|jar|js|jsonl?|lnk|lock|log|md|msi|odt|onnx|pdf"
    r"|pptx?|pth?|py|rst|rtf|sh|svg|toml|tsv|txt|url|xlsx?|xml|ya?ml)(\.(bz2|gz|xz|zst))?$"
    r"|^(\.|~\$|(dicomdir(;1)?|license|makefile|readme)$|events\.out\.tfevents\.)",
    re.IGNORECASE,
)
_DICOMDIR = re.compile("dicomdir", re.IGNORECASE)
_KINDS_SHOWN = 3
# `lungseg predict` writes this record into its output folder, beside a folder for each kind of result.
MARK = "records.jsonl"
_RECORDS = (MARK, "done.jsonl")  # the second one is that of versions before 1.0
RESULT_FOLDERS = (
    "masks",
    "labels",
    "overlays",
    "thumbnails",
    "heart",
    "probabilities",
    "nifti",
    "dicom-seg",
    "crop",
    "coco",
    "labelme",
)
# Files that mark the folders into which lungseg writes pictures: of predictions, of a training, of an evaluation.
_WRITTEN = (
    *({name} for name in _RECORDS),
    *({"run.json", "history.json"}, {"summary.json", "cases.csv"}, {"cases.jsonl", "cases.lock"}),
)


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
        masks: masks and label maps in the folders, and the labels of MONAI Label (:mod:`lungseg.io.masks`).
    """

    radiographs: list[tuple[Path, Path]]
    skipped: list[Path]
    companions: dict[Path, str]
    archives: list[Path]
    masks: list[Path]


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
    found: dict[str, Found] = {}
    skipped: list[Path] = []
    companions: dict[Path, str] = {}
    archives: list[Path] = []
    masks: list[Path] = []
    for name in inputs:
        path = Path(name)
        # pathlib raises its own error for a name that is too long.
        if not os.path.isdir(path):
            absolute = os.path.abspath(path)
            found.setdefault(absolute, Found(path, Path(path.name), os.path.dirname(absolute), named=True))
            continue
        inside: list[Path] = []
        for file in _walk(path, exclude, skipped, masks):
            if _NOT_PICTURES.search(file.name):
                skipped.append(file)
            elif is_archive(file):
                archives.append(file)
            elif kind := companion_kind(file):
                companions[file] = kind
            else:
                inside.append(file)
        drawn = find_masks(inside)
        masks += sorted(drawn)
        inside = [file for file in inside if file not in drawn]
        if not inside and not allow_none:
            raise _no_pictures(path, skipped, companions, archives, masks)
        for file in inside:
            found.setdefault(os.path.abspath(file), Found(file, file.relative_to(path), os.path.abspath(path)))
    if not found and not allow_none:
        raise UsageError("no radiograph was named", remedy="name files or folders", code="no-input")
    return Inputs(name_results(list(found.values())), skipped, companions, archives, masks)


def may_be_picture(name: str) -> bool:
    """Return whether a file of a folder may be a picture, by its name alone."""
    return not _NOT_PICTURES.search(name) and not is_named_as_archive(name)


def _no_pictures(
    folder: Path,
    skipped: Sequence[Path],
    companions: Mapping[Path, str],
    archives: Sequence[Path],
    masks: Sequence[Path],
) -> UsageError:
    """Return the error for a folder without a radiograph; it says what there is instead."""
    what = "the folder holds no picture"
    remedy = "name a folder with PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000, DICOM or NIfTI files"
    archive = next((file for file in archives if folder in file.parents), None)
    if said := sorted({kind for file, kind in companions.items() if folder in file.parents}):
        what = f"the folder holds no chest radiograph: its DICOM files say {shorten_list(said, _KINDS_SHOWN)}"
        remedy = "name a folder with chest radiographs, or a file itself to have it segmented anyway"
    elif any(folder in file.parents for file in masks):
        what = "the folder holds masks or label maps, and no radiograph"
        remedy = "name the folder of the radiographs, or a file itself to have it segmented anyway"
    elif archive:
        remedy = f"unpack the archives in it, for example: {how_to_unpack(archive) or archive.name}"
    elif any(_DICOMDIR.match(file.name) and folder in file.parents for file in skipped):
        remedy = "its DICOMDIR lists files that are not there: copy the whole disc, and name the folder of the copy"
    return UsageError(what, folder, remedy, code="no-pictures")


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


def _walk(root: Path, exclude: str | PathLike[str] | None, skipped: list[Path], masks: list[Path]) -> Iterator[Path]:
    """Yield the files under `root`, without the labels of MONAI Label.

    Links to folders are not followed, because they may lead back to `root`.
    """

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
            elif name == LABEL_FOLDER and holds_studies(files):
                masks += sorted(file for file in path.rglob("*") if file.is_file())
                folders.remove(name)
        folders.sort()
        yield from (Path(folder, name) for name in sorted(files))
