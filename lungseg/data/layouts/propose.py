# SPDX-License-Identifier: Apache-2.0
"""Propose the command for a folder whose layout is not known."""

from __future__ import annotations

import shlex
from pathlib import Path

from lungseg.data.folders import folders_below, has_pictures
from lungseg.data.naming import Naming, guess_naming, masks_by_word
from lungseg.data.pairing import list_files

_DEPTH = 3


def propose_folders(root: Path) -> str:
    """Return the command with which most masks have an image, for pictures in one or two folders; else an empty text.

    Masks have a word such as "mask" in the names of their files or of their folder.
    """
    pictured = [folder for folder in folders_below(root, _DEPTH) if has_pictures(folder)]
    names = {folder: set(list_files(folder, nested=False)) for folder in pictured}
    if len(pictured) == 1:
        (every,) = names.values()
        masks = masks_by_word(every)
        folders = {"images": pictured[0], "masks": pictured[0]}
        images = every - masks
    elif len(pictured) == 2 and (drawn := [one for one in pictured if _holds_masks(one, names[one])]):
        folders = {"images": next(one for one in pictured if one != drawn[0]), "masks": drawn[0]}
        images, masks = names[folders["images"]], names[folders["masks"]]
    else:
        return ""
    naming = Naming() if images & masks else guess_naming(images, masks)
    if naming is None:
        return ""
    stated = " ".join(f"--{role} {shlex.quote(str(folder))}" for role, folder in folders.items())
    return f"lungseg check-data {stated} {naming.options()}".rstrip()


def _holds_masks(folder: Path, names: set[str]) -> bool:
    return bool(masks_by_word({folder.name})) or 2 * len(masks_by_word(names)) > len(names)
