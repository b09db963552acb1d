# SPDX-License-Identifier: Apache-2.0
"""Match images and masks one to one by name, and list the files without a partner."""

from __future__ import annotations

import os
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from lungseg.data.problems import DUPLICATE_NAME, MASK_WITHOUT_IMAGE, Problem
from lungseg.io.formats import ENDINGS, HEAD_BYTES, format_of, split_ending
from lungseg.utils.errors import LungsegError, UsageError

MASK_SUFFIX = "_mask"
# Drawing programs also write masks as GIF and BMP, which are not formats of radiographs.
_MASK_ENDINGS = (*ENDINGS, ".gif", ".bmp")

Label = Path | tuple[Path, Path]


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
    """The result of matching: each file is in exactly one of these lists, or in a problem."""

    pairs: list[Case]
    images_without_mask: list[Path] = field(default_factory=list)
    masks_without_image: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    images: int = 0
    masks: int = 0


def list_files(folder: Path, exclude: Path | None = None, endings: Sequence[str] = ENDINGS) -> dict[str, list[Path]]:
    """Return the pictures below a folder by name, see `case_name`, sorted.

    Hidden files are not listed, since macOS writes a `._name.png` beside every file that it copies; nor is the folder
    `exclude`.

    Raises:
        LungsegError: the folder does not exist or cannot be read.
    """
    if not folder.is_dir():
        raise LungsegError("there is no such folder", folder, "check the path", code="not-found")
    files: list[Path] = []
    excluded = exclude and exclude.resolve()
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if Path(parent, name).resolve() != excluded]
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


def pair_by_name(images: Path, masks: Path, mask_suffix: str = MASK_SUFFIX) -> Pairing:
    """Match the pictures of two folders: a mask has the name of its image, with or without the suffix.

    Two files with the same name are reported, and neither is used. One folder may lie within the other. Both may be the
    same folder: then a mask is a file with the name of another file and the suffix.

    Args:
        images: folder of radiographs.
        masks: folder of masks or label maps.
        mask_suffix: suffix that the name of a mask may have after the name of its image, such as "_mask".

    Raises:
        UsageError: the folders are the same, and no file has the name of another one with the suffix.
        LungsegError: a folder does not exist or cannot be read.
    """
    if images.resolve() == masks.resolve():
        named_images, found_masks = _split_by_suffix(images, mask_suffix)
    else:
        named_images, found_masks = list_files(images, exclude=masks), list_files(masks, images, _MASK_ENDINGS)
    named_masks = _by_image_name(found_masks, named_images, mask_suffix)
    problems = [*_duplicates(named_images, "images"), *_duplicates(named_masks, "masks")]
    ambiguous = {problem.name for problem in problems}
    shared = sorted((named_images.keys() & named_masks.keys()) - ambiguous)
    alone = [(name, path) for name in sorted(named_masks.keys() - named_images.keys()) for path in named_masks[name]]
    problems += [Problem(path, MASK_WITHOUT_IMAGE, "no image has this mask's name", True, name) for name, path in alone]
    return Pairing(
        pairs=[Case(name, named_images[name][0], named_masks[name][0]) for name in shared],
        images_without_mask=_flat(named_images[name] for name in sorted(named_images.keys() - named_masks.keys())),
        masks_without_image=[path for _, path in alone],
        problems=problems,
        images=sum(map(len, named_images.values())),
        masks=sum(map(len, named_masks.values())),
    )


def _split_by_suffix(folder: Path, suffix: str) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Return the images and the masks of a folder that holds both."""
    named = list_files(folder)
    masks = {name for name in named if suffix and name.endswith(suffix) and name.removesuffix(suffix) in named}
    if named and not masks:
        what = f"images and masks are in one folder, and no file has the name of another one with {suffix!r} after it"
        raise UsageError(what, folder, "give --mask-suffix, or put the masks into another folder", code="no-pairs")
    return (
        {name: paths for name, paths in named.items() if name not in masks},
        {name: paths for name, paths in named.items() if name in masks},
    )


def suffix_option(images: Iterable[Path], masks: Iterable[Path]) -> str:
    """Return the option of the command with which most of the masks would find an image; empty if there is none."""
    names = {picture_name(path) for path in images}
    alone = [name for path in masks if (name := picture_name(path, _MASK_ENDINGS))]
    endings = Counter(name[cut:] for name in alone for cut in range(1, len(name)) if name[:cut] in names)
    suffix, count = max(endings.items(), key=lambda item: item[1], default=("", 0))
    if 2 * count <= len(alone):
        return ""
    return f"--mask-suffix{'=' if suffix.startswith('-') else ' '}{shlex.quote(suffix)}"


def _by_image_name(masks: dict[str, list[Path]], images: dict[str, list[Path]], suffix: str) -> dict[str, list[Path]]:
    """Give masks the names of their images; an image's own name may end in the suffix."""
    named: dict[str, list[Path]] = defaultdict(list)
    for name, paths in masks.items():
        named[name if name in images else name.removesuffix(suffix)] += paths
    return dict(named)


def _duplicates(named: dict[str, list[Path]], what: str) -> list[Problem]:
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
