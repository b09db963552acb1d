# SPDX-License-Identifier: Apache-2.0
"""Match images and masks one to one by name, and list the files without a partner."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from lungseg.data.naming import Naming, guess_naming, masks_by_word
from lungseg.data.problems import DUPLICATE_NAME, MASK_WITHOUT_IMAGE, Problem
from lungseg.io.formats import ENDINGS, HEAD_BYTES, format_of, split_ending
from lungseg.io.masks import LABEL_FOLDER, holds_studies
from lungseg.utils.errors import LungsegError, UsageError

Label = Path | tuple[Path, Path]
# Name, see `case_name`, -> the files that have it.
Named = dict[str, list[Path]]


@dataclass(frozen=True)
class Case:
    """An image with its reference.

    Attributes:
        name: the path of the image inside its folder, without extension: `stem` or `sub-folder/stem`.
        image: the radiograph.
        label: one file (binary mask or label map), or the pair (right lung, left lung).
        heart: mask of the heart, if there is one.
        labels: what the values of the label stand for, see :func:`lungseg.data.label_values.parse_labels`.
    """

    name: str
    image: Path
    label: Label
    heart: Path | None = None
    labels: str | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The one or two files of the label."""
        return self.label if isinstance(self.label, tuple) else (self.label,)


@dataclass(frozen=True)
class Pairing:
    """The result of matching: each file is in exactly one of these lists, or in a problem.

    `images` and `masks` are the numbers of files, and `naming` is the rule by which names were matched.
    """

    pairs: list[Case]
    images_without_mask: list[Path] = field(default_factory=list)
    masks_without_image: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    images: int = 0
    masks: int = 0
    naming: Naming = field(default_factory=Naming)


def list_files(
    folder: Path, exclude: Path | None = None, endings: Sequence[str] = ENDINGS, nested: bool = True
) -> Named:
    """Return the pictures in a folder by name, see `case_name`, sorted.

    Hidden files are not listed, since macOS writes a `._name.png` beside every file that it copies; nor is the folder
    `exclude`; nor are the labels that MONAI Label keeps beside its studies; nor other sub-folders, unless `nested`.

    Raises:
        LungsegError: the folder does not exist or cannot be read.
    """
    if not folder.is_dir():
        raise LungsegError("there is no such folder", folder, "check the path", code="not-found")
    files: list[Path] = []
    excluded = exclude and exclude.resolve()
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if nested and Path(parent, name).resolve() != excluded]
        if LABEL_FOLDER in folders and holds_studies(names):
            folders.remove(LABEL_FOLDER)
        files += [Path(parent, name) for name in names]
    named = defaultdict(list)
    for path in sorted(files):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and picture_name(path, endings):
            named[case_name(path, folder, endings)].append(path)
    return dict(named)


def case_name(path: Path, folder: Path, endings: Sequence[str] = ENDINGS) -> str:
    """Return the name of a picture below a folder: its path inside the folder, without its ending."""
    return path.relative_to(folder).with_name(picture_name(path, endings) or path.name).as_posix()


def picture_name(path: Path, endings: Sequence[str] = ENDINGS) -> str | None:
    """Return the name of a picture without its ending, or None for other files.

    The content of a file decides if it has no ending, or a number as in a DICOM UID.
    """
    if path.name.lower().endswith(tuple(endings)):
        parts = split_ending(path.name, endings)
        return parts[0] if parts else None
    if path.suffix.strip(".0123456789") or path.name == "DICOMDIR":
        return None
    try:
        # Opening a pipe would wait for its writer for ever.
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return path.name if format_of(file.read(HEAD_BYTES)) else None
    except OSError:  # the reader of the file will report the error
        return path.name


def _refuse(error: OSError) -> NoReturn:
    """Stop at a folder that cannot be read; os.walk() would skip it silently."""
    what = f"the folder cannot be read ({error.strerror})"
    raise LungsegError(what, error.filename, "ask for permission to read it", code="not-permitted")


def pair_by_name(images: Path, masks: Path, naming: Naming | None = None) -> Pairing:
    """Match the pictures of two folders: a mask has the name of its image, but for the prefixes and suffixes.

    Two files with the same name are reported, and neither is used. One folder may lie within the other. Both may be the
    same folder: then a mask is a file with a mask's prefix or suffix, and otherwise the name of another file.

    Args:
        images: folder of radiographs.
        masks: folder of masks or label maps.
        naming: the prefixes and suffixes; by default a mask may end in "_mask", and if no image has a mask by that,
            usual words such as `img_` and `mask_` are tried.

    Raises:
        UsageError: the folders are the same, and no file is a mask by its name.
        LungsegError: a folder does not exist or cannot be read.
    """
    if images.resolve() == masks.resolve():
        return _pair_in_one_folder(images, naming)
    return match(list_files(images, exclude=masks), list_files(masks, exclude=images), naming)


def match(images: Named, masks: Named, naming: Naming | None = None) -> Pairing:
    """Match pictures with masks by their names; see :func:`pair_by_name`.

    Args:
        images: name, as `case_name` returns it, -> files.
        masks: the same for the masks, relative to their own folder.
        naming: the prefixes and suffixes.
    """
    used = naming or Naming()
    found = _match(images, masks, used)
    if found.pairs or naming is not None or not (guess := guess_naming(images, masks)) or not guess.is_plain:
        return found
    return _match(images, masks, guess)


def _match(images: Named, masks: Named, naming: Naming) -> Pairing:
    by_key = _by_key(images, naming)
    drawn = _by_image(masks, images, by_key, naming)
    pictures = {key: _flat(images[name] for name in names) for key, names in by_key.items()}
    problems = [*_duplicates(pictures, "images"), *_duplicates(drawn, "masks")]
    ambiguous = {problem.name for problem in problems}
    pairs, pictured = [], set()
    for key, names in by_key.items():
        if key in drawn:
            pictured.update(names)
        if key in drawn and key not in ambiguous:
            pairs.append(Case(names[0], images[names[0]][0], drawn[key][0]))
    alone = [(key, path) for key in sorted(drawn.keys() - by_key.keys()) for path in drawn[key]]
    problems += [Problem(path, MASK_WITHOUT_IMAGE, "no image has this mask's name", True, key) for key, path in alone]
    return Pairing(
        pairs=sorted(pairs, key=lambda case: case.name),
        images_without_mask=_flat(images[name] for name in sorted(images.keys() - pictured)),
        masks_without_image=[path for _, path in alone],
        problems=problems,
        images=sum(map(len, images.values())),
        masks=sum(map(len, masks.values())),
        naming=naming,
    )


def _by_key(images: Named, naming: Naming) -> dict[str, list[str]]:
    """Return the names of the images by the part that their masks have too; one with affixes goes first.

    A file without the affixes may be of another kind, such as the second channel of an image, and is not paired then.
    """
    keys: dict[str, list[str]] = defaultdict(list)
    for name in images:
        keys[naming.of_image(name)].append(name)
    return {key: [name for name in names if name != key] or names for key, names in keys.items()}


def _by_image(masks: Named, images: Named, by_key: Mapping[str, object], naming: Naming) -> Named:
    """Return masks by the key of their image; an image's own name may end in the suffix of a mask."""
    drawn: dict[str, list[Path]] = defaultdict(list)
    for name, paths in masks.items():
        own = name if name in by_key else naming.of_image(name) if name in images else naming.of_mask(name)
        drawn[own] += paths
    return dict(drawn)


def _pair_in_one_folder(folder: Path, naming: Naming | None) -> Pairing:
    named = list_files(folder)
    for rule in [naming or Naming(), *([] if naming else guesses_in_one_folder(named))]:
        keys = {rule.of_image(name) for name in named if not rule.is_mask(name)}
        masks = {name: paths for name, paths in named.items() if rule.is_mask(name) and rule.of_mask(name) in keys}
        if masks:
            return _match({name: paths for name, paths in named.items() if name not in masks}, masks, rule)
    if not named:
        return Pairing([])
    what = "images and masks are in one folder, and no file is a mask by its name"
    raise UsageError(what, folder, f"give {_option_in_one_folder(named)}", code="no-pairs")


def guesses_in_one_folder(names: Iterable[str]) -> list[Naming]:
    """Return the rule, if there is one, by which pictures of one folder are images and masks in usual words."""
    guess = _guess_in_one_folder(names)
    return [guess] if guess and guess.is_plain else []


def _guess_in_one_folder(names: Iterable[str]) -> Naming | None:
    every = set(names)
    masks = masks_by_word(every)
    return guess_naming(every - masks, masks) if masks else None


def _option_in_one_folder(names: Iterable[str]) -> str:
    guess = _guess_in_one_folder(names)
    return guess.options() if guess else "--mask-suffix or --mask-prefix, or put the masks into another folder"


def naming_option(images: Iterable[Path], masks: Iterable[Path]) -> str:
    """Return the options of the command with which most of the masks would find an image; empty if there are none."""
    guess = guess_naming(
        [name for path in images if (name := picture_name(path))],
        [name for path in masks if (name := picture_name(path))],
    )
    return guess.options() if guess else ""


def _duplicates(named: Named, what: str) -> list[Problem]:
    return [
        Problem(
            path,
            DUPLICATE_NAME,
            f"{len(paths)} {what} are named {name} ({', '.join(p.name for p in paths)}): none of them is used",
            True,
            name,
        )
        for name, paths in sorted(named.items())
        for path in paths
        if len(paths) > 1
    ]


def _flat(groups: Iterable[list[Path]]) -> list[Path]:
    return [path for group in groups for path in group]
