# SPDX-License-Identifier: Apache-2.0
"""Recognise the folder layouts of public data sets, without configuration: one small function for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from lungseg.data.annotations import LABELS_BY_NAME, are_annotations, pair_annotations
from lungseg.data.label_values import parse_labels
from lungseg.data.pairing import MASK_SUFFIX, Case, Pairing, list_files, pair_by_name, picture_name
from lungseg.data.problems import ONE_LUNG, Problem
from lungseg.utils.errors import LungsegError, UsageError

_IMAGE_FOLDERS = ("CXR_png", "images", "image")
_MASK_FOLDERS = ("masks", "mask")
_LABEL_FOLDERS = ("left_right_labels", "label_maps", "labels")
_SEARCH_DEPTH = 2


@dataclass(frozen=True)
class Layout:
    """The places of the images and the references of a data set.

    Attributes:
        kind: the layout's name, for people.
        folder: the data set's folder.
        images: the folder of images.
        pair: function that matches the images with their references.
        labels: what the values of the references stand for, where it is stated.
    """

    kind: str
    folder: Path
    images: Path
    pair: Callable[[], Pairing]
    labels: str | None = None

    def with_labels(self, labels: str | None) -> Layout:
        """Return it with a statement of what the values of its references stand for, unless that is None.

        Raises:
            UsageError: see :func:`lungseg.data.label_values.parse_labels`.
        """
        if labels is None:
            return self
        parse_labels(labels)

        def pair() -> Pairing:
            pairing = self.pair()
            return replace(pairing, pairs=[replace(case, labels=labels) for case in pairing.pairs])

        return replace(self, pair=pair, labels=labels)


def find_data(
    dataset_dir: str | PathLike[str] | None = None,
    images: str | PathLike[str] | None = None,
    masks: str | PathLike[str] | None = None,
    mask_suffix: str = MASK_SUFFIX,
    labels: str | None = None,
) -> Layout:
    """Find the data set in a folder or up to two levels below it, or in two folders given by name.

    Args:
        dataset_dir: the data set's folder, or one that holds it.
        images, masks: two folders of any name, instead of `dataset_dir`.
        mask_suffix: suffix that the name of a mask may have after the name of its image.
        labels: what the values of the masks stand for, see :func:`lungseg.data.label_values.parse_labels`.

    Raises:
        UsageError: a folder does not exist or holds no data set, `labels` cannot be read, or not exactly one of the two
            ways was used.
        LungsegError: there is more than one data set.
    """
    if (images is None) != (masks is None) or (images is None) == (dataset_dir is None):
        what = "a data set is given either as one folder or as two"
        raise UsageError(what, remedy="give DIR, or --images and --masks", code="data-set-unclear")
    if images is not None and masks is not None:
        return two_folders(Path(images), Path(masks), mask_suffix, labels)
    assert dataset_dir is not None
    root = Path(dataset_dir)
    if not root.is_dir():
        raise UsageError("there is no such folder", root, "check the path of the data set", code="not-found")
    level = [root]
    for _ in range(_SEARCH_DEPTH + 1):
        found = [layout for folder in level if (layout := recognise(folder, mask_suffix))]
        if len(found) > 1:
            names = ", ".join(f'"{layout.folder.relative_to(root)}"' for layout in found)
            remedy = (
                "name one of them, or put all images below one folder and all masks below another, by the same names"
            )
            what = f"there are {len(found)} data sets in it: {names}"
            raise LungsegError(what, root, remedy, code="several-data-sets")
        if found:
            return found[0].with_labels(labels)
        level = [child for folder in level for child in _sub_folders(folder)]
    raise _nothing_found(root)


def recognise(folder: Path, mask_suffix: str = MASK_SUFFIX) -> Layout | None:
    """Return the layout of a folder, or None. References that separate left from right are preferred."""
    for layout in (separate_lungs, label_maps, binary_masks):
        if found := layout(folder, mask_suffix):
            return found
    return None


def separate_lungs(folder: Path, mask_suffix: str = MASK_SUFFIX) -> Layout | None:
    """Recognise a folder for each lung: NLM's `ManualMask/leftMask/` and `rightMask/`, or `masks/left lung/`."""
    images = _first_folder(folder, _IMAGE_FOLDERS)
    masks = _first_folder(folder, ("ManualMask", *_MASK_FOLDERS))
    if images is None or masks is None:
        return None
    sides = {side: [child for child in _sub_folders(masks) if _is_of(side, child)] for side in ("right", "left")}
    if any(len(folders) != 1 for folders in sides.values()):
        return None
    (right,), (left,) = sides.values()
    return Layout("separate lungs", folder, images, lambda: _pair_lungs(images, right, left, mask_suffix))


def label_maps(folder: Path, mask_suffix: str = MASK_SUFFIX) -> Layout | None:
    """Recognise images beside label maps (0 background, 1 right lung, 2 left lung)."""
    # A folder called labels may hold labels of another kind, in text files.
    pictured = [name for name in _LABEL_FOLDERS if (folder / name).is_dir() and list_files(folder / name)]
    return _beside(folder, pictured, mask_suffix, "label maps")


def binary_masks(folder: Path, mask_suffix: str = MASK_SUFFIX) -> Layout | None:
    """Recognise Kaggle's layout: `CXR_png/` and `masks/`, with and without `_mask` in a mask's name."""
    return _beside(folder, _MASK_FOLDERS, mask_suffix, "masks")


def two_folders(images: Path, masks: Path, mask_suffix: str = MASK_SUFFIX, labels: str | None = None) -> Layout:
    """Return the layout of any two folders, or of a folder of images and a file or a folder of annotations.

    Raises:
        UsageError: a folder does not exist, `masks` is a file of another kind, or `labels` cannot be read.
    """
    if images.is_dir() and are_annotations(masks, images):
        return Layout(
            "annotations", masks, images, lambda: pair_annotations(images, masks, labels), labels or LABELS_BY_NAME
        )
    if masks.is_file():
        what = "this file holds no annotations that are known"
        remedy = "give COCO or LabelMe JSON, a CSV file with run lengths, or a folder of masks"
        raise UsageError(what, masks, remedy, code="annotations-unknown")
    for folder in (images, masks):
        if not folder.is_dir():
            raise UsageError("there is no such folder", folder, "check the path", code="not-found")
    return Layout("two folders", images, images, lambda: pair_by_name(images, masks, mask_suffix)).with_labels(labels)


def _is_of(side: str, folder: Path) -> bool:
    return re.fullmatch(rf"{side}[ _-]?(lungs?|masks?)?", folder.name, re.IGNORECASE) is not None


def _beside(folder: Path, references: Sequence[str], mask_suffix: str, kind: str) -> Layout | None:
    images, masks = _first_folder(folder, _IMAGE_FOLDERS), _first_folder(folder, references)
    if images is None or masks is None:
        return None
    return Layout(kind, folder, images, lambda: pair_by_name(images, masks, mask_suffix))


def _pair_lungs(images: Path, right: Path, left: Path, mask_suffix: str) -> Pairing:
    """Merge the pairings of the two lungs: a case needs both."""
    rights, lefts = pair_by_name(images, right, mask_suffix), pair_by_name(images, left, mask_suffix)
    left_of = {case.name: case for case in lefts.pairs}
    right_of = {case.name: case for case in rights.pairs}
    reported = {problem.name for problem in rights.problems + lefts.problems}
    single = [
        Problem(case.files[0], ONE_LUNG, f"the {other} lung of this image has no mask", True, case.name)
        for of, partners, other in ((right_of, left_of, "left"), (left_of, right_of, "right"))
        for name, case in of.items()
        if name not in partners and name not in reported
    ]
    both = [
        Case(name, case.image, (case.files[0], left_of[name].files[0]))
        for name, case in right_of.items()
        if name in left_of
    ]
    # A duplicate image is found with both lungs, and reported once.
    problems = dict.fromkeys([*rights.problems, *lefts.problems, *single])
    without = set(lefts.images_without_mask)
    return replace(
        rights,
        pairs=both,
        images_without_mask=[path for path in rights.images_without_mask if path in without],
        masks_without_image=rights.masks_without_image + lefts.masks_without_image,
        problems=list(problems),
        masks=rights.masks + lefts.masks,
    )


def _first_folder(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _sub_folders(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except PermissionError:
        return []


def _nothing_found(root: Path) -> UsageError:
    if not any(picture_name(path) for path in root.rglob("*")):
        return UsageError(
            "there is no image in this folder", root, "check the path of the data set", code="no-pictures"
        )
    return UsageError(
        "no known layout is in this folder",
        root,
        "give one that holds CXR_png/ and masks/ (or images/ and labels/), or name --images and --masks",
        code="layout-unknown",
    )
