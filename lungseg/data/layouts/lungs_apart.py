# SPDX-License-Identifier: Apache-2.0
"""A folder for each lung: Montgomery as the NLM gives it, and JSRT with the masks of the SCR database."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lungseg.data.folders import folders_below, has_pictures, parts_of, plain, sub_folders
from lungseg.data.layouts.layout import Layout
from lungseg.data.naming import MASK_SUFFIX, Naming
from lungseg.data.pairing import Case, Named, Pairing, list_files, match
from lungseg.data.problems import ONE_LUNG, Problem

_SIDE = r"{}(lungs?|masks?|lungmasks?)?"
_PARTS = {"right": _SIDE.format("right"), "left": _SIDE.format("left"), "heart": r"hearts?(masks?)?"}
# The SCR database has the masks of the odd and of the even cases of JSRT in two folders.
_FOLD = re.compile(r"fold[0-9]+")
_DEPTH = 3


def lungs_apart(folder: Path, naming: Naming | None = None) -> Layout | None:
    """Recognise a folder of masks for each lung.

    `ManualMask/leftMask/` and `rightMask/`, or `masks/left lung/` and the like, beside the images; in a folder for each
    fold; with a folder of hearts, or without. The images may lie in any other folder of the data set.
    """
    masks = [part.folder for part in parts_of(folder) if part.role == "masks"]
    masks += [child for child in sub_folders(folder) if plain(child.name) == "manualmask"]
    masks = [one for one in masks if _is_apart(one)] or [one for one in [folder] if _is_apart(one)] or _of_folds(folder)
    if not masks:
        return None
    images = _images(folder, masks)
    if images is None:
        return None
    return Layout("separate lungs", folder, images, lambda: _pair_lungs(images, masks, naming))


def _of_folds(folder: Path) -> list[Path]:
    """Return the folders of masks in `fold1/`, `fold2/` below a folder."""
    folds = [one for one in folders_below(folder, _DEPTH - 1) if _FOLD.fullmatch(plain(one.name))]
    return [child for fold in folds for child in [fold, *sub_folders(fold)] if _is_apart(child)]


def _is_apart(masks: Path) -> bool:
    return len(_of_part("right", masks)) == len(_of_part("left", masks)) == 1


def _of_part(part: str, masks: Path) -> list[Path]:
    return [child for child in sub_folders(masks) if re.fullmatch(_PARTS[part], plain(child.name))]


def _images(folder: Path, masks: Sequence[Path]) -> Path | None:
    """Return the folder of images: by its name, or the one that holds most of the masks' names."""
    if named := [part.folder for part in parts_of(folder) if part.role == "images"]:
        return named[0]
    wanted = {name.removesuffix(MASK_SUFFIX) for name in _merged(masks, "right")}
    drawn = [one for one in masks if one != folder] or sub_folders(folder)
    best, most = None, 0
    for one in folders_below(folder, _DEPTH):
        if any(one == other or other in one.parents for other in drawn) or not has_pictures(one):
            continue
        found = len(wanted.intersection(list_files(one, nested=False)))
        if best is None or found > most:
            best, most = one, found
    return best


def _merged(masks: Sequence[Path], part: str) -> Named:
    """Return the masks of one part, by name, of all folders of masks."""
    merged: Named = {}
    for folder in (child for one in masks for child in _of_part(part, one)):
        for name, paths in list_files(folder).items():
            merged[name] = merged.get(name, []) + paths
    return merged


def _pair_lungs(images: Path, masks: Sequence[Path], naming: Naming | None) -> Pairing:
    """Merge the pairings of the two lungs: a case needs both. A heart is taken where there is one."""
    inside = any(images == one or images in one.parents for one in masks)
    pictures = list_files(images, nested=not inside)
    rights, lefts, hearts = (match(pictures, _merged(masks, part), naming) for part in ("right", "left", "heart"))
    left_of = {case.name: case for case in lefts.pairs}
    right_of = {case.name: case for case in rights.pairs}
    heart_of = {case.name: case.files[0] for case in hearts.pairs}
    reported = {problem.name for problem in rights.problems + lefts.problems}
    single = [
        Problem(case.files[0], ONE_LUNG, f"the {other} lung of this image has no mask", True, case.name)
        for of, partners, other in ((right_of, left_of, "left"), (left_of, right_of, "right"))
        for name, case in of.items()
        if name not in partners and name not in reported
    ]
    both = [
        Case(name, case.image, (case.files[0], left_of[name].files[0]), heart_of.get(name))
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
