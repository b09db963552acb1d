# SPDX-License-Identifier: Apache-2.0
"""Images beside masks or label maps: in two folders, in a folder and its sub-folder, or all in one folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from lungseg.data.annotations import LABELS
from lungseg.data.folders import Part, has_pictures, has_pictures_below, parts_of
from lungseg.data.layouts.layout import Layout
from lungseg.data.layouts.nnunet import read_labels
from lungseg.data.naming import Naming
from lungseg.data.pairing import Pairing, guesses_in_one_folder, list_files, match, pair_by_name
from lungseg.io.masks import LABEL_FOLDER, holds_studies


def beside(folder: Path, naming: Naming | None = None) -> list[Layout]:
    """Return the layouts of images with masks in a folder: one, or one for each of train, validation and test.

    Label maps (0 background, 1 right lung, 2 left lung, or as a `dataset.json` of nnU-Net states) are preferred to
    masks. The images may lie in the folder itself.
    """
    parts = parts_of(folder)
    found = []
    if annotated := _annotated(folder, naming):
        return [annotated]
    for section in dict.fromkeys(part.section for part in parts):
        here = [part for part in parts if part.section == section]
        references = _references(here)
        images = next((part.folder for part in here if part.role == "images"), None)
        if references is None:
            continue
        if images is not None:
            found.append(_two(folder, images, references, naming))
        elif not section and has_pictures(folder):
            found.append(_inside(folder, references, naming))
    return found


def _annotated(folder: Path, naming: Naming | None) -> Layout | None:
    """Recognise a folder of studies in which MONAI Label keeps the final labels."""
    final = folder / LABEL_FOLDER / "final"
    if not (has_pictures(final) and holds_studies(os.listdir(folder))):
        return None

    def pair() -> Pairing:
        return match(list_files(folder, nested=False), list_files(final), naming)

    return Layout("studies with final labels", folder, folder, pair).with_labels(LABELS)


def in_one_folder(folder: Path, naming: Naming | None = None) -> Layout | None:
    """Recognise images and masks that lie in one folder, by the prefixes and suffixes of their names."""
    if not has_pictures(folder):
        return None
    names = list_files(folder, nested=False)
    rules = [naming] if naming else [Naming(), *guesses_in_one_folder(names)]
    for rule in rules:
        images = {rule.of_image(name) for name in names if not rule.is_mask(name)}
        masks = [name for name in names if rule.is_mask(name) and rule.of_mask(name) in images]
        # A picture or two may be called a mask by chance.
        if len(masks) >= len(names) / 4:
            return Layout("one folder", folder, folder, lambda: pair_by_name(folder, folder, naming))
    return None


def _references(parts: list[Part]) -> Part | None:
    # A folder called labels may hold labels of another kind, in text files.
    for part in parts:
        if part.role == "labels" and has_pictures_below(part.folder):
            return part
    return next((part for part in parts if part.role == "masks"), None)


def _two(folder: Path, images: Path, references: Part, naming: Naming | None) -> Layout:
    return _stated(folder, images, references, lambda: pair_by_name(images, references.folder, naming))


def _inside(folder: Path, references: Part, naming: Naming | None) -> Layout:
    def pair() -> Pairing:
        return match(list_files(folder, nested=False), list_files(references.folder), naming)

    return _stated(folder, folder, references, pair)


def _stated(folder: Path, images: Path, references: Part, pair: Callable[[], Pairing]) -> Layout:
    if references.role == "masks":
        return Layout("masks", folder, images, pair)
    labels = read_labels(folder)
    kind = f"label maps, by dataset.json {labels}" if labels else "label maps"
    return Layout(kind, folder, images, pair).with_labels(labels)
