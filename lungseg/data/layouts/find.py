# SPDX-License-Identifier: Apache-2.0
"""Find the data set in a folder."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path

from lungseg.data.folders import own_name, sub_folders
from lungseg.data.layouts.beside import beside, in_one_folder
from lungseg.data.layouts.layout import Layout, two_folders
from lungseg.data.layouts.lungs_apart import lungs_apart
from lungseg.data.layouts.propose import propose_folders
from lungseg.data.layouts.together import are_one, together, without_copies
from lungseg.data.naming import MASK_SUFFIX, Naming
from lungseg.data.pairing import picture_name
from lungseg.utils.errors import LungsegError, UsageError

# Archives hold a folder that holds the folders of sections, which hold those of classes.
_SEARCH_DEPTH = 6


def find_data(
    dataset_dir: str | PathLike[str] | None = None,
    images: str | PathLike[str] | None = None,
    masks: str | PathLike[str] | None = None,
    mask_suffix: str = MASK_SUFFIX,
    labels: str | None = None,
    mask_prefix: str = "",
    image_suffix: str = "",
    image_prefix: str = "",
) -> Layout:
    """Find the data set in a folder or up to six levels below it, or in two folders given by name.

    Folders of classes, or of train, validation and test, are taken together.

    Args:
        dataset_dir: the data set's folder, or one that holds it.
        images, masks: two folders of any name, instead of `dataset_dir`.
        mask_suffix, mask_prefix: text that the name of a mask may have after and before the name of its image.
        labels: what the values of the masks stand for, see :func:`lungseg.data.label_values.parse_labels`.
        image_suffix, image_prefix: text that the name of an image may have, and its mask has not. Without any of these
            texts, usual words such as `img_` and `mask_` are tried if no image has a mask.

    Raises:
        UsageError: a folder does not exist or holds no data set, `labels` cannot be read, or not exactly one of the two
            ways was used.
        LungsegError: there is more than one data set.
    """
    if (images is None) != (masks is None) or (images is None) == (dataset_dir is None):
        what = "a data set is given either as one folder or as two"
        raise UsageError(what, remedy="give DIR, or --images and --masks", code="data-set-unclear")
    stated = Naming(image_prefix, image_suffix, mask_prefix, mask_suffix)
    naming = None if stated == Naming() else stated
    if images is not None and masks is not None:
        return replace(two_folders(Path(images), Path(masks), naming, labels), name=own_name(Path(images)))
    assert dataset_dir is not None
    root = Path(dataset_dir)
    return replace(_find_below(root, naming, labels), name=own_name(root))


def _find_below(root: Path, naming: Naming | None, labels: str | None) -> Layout:
    if not root.is_dir():
        raise UsageError("there is no such folder", root, "check the path of the data set", code="not-found")
    level = [root]
    for _ in range(_SEARCH_DEPTH + 1):
        found = without_copies([layout for folder in level for layout in recognise(folder, naming)])
        if len(found) > 1 and are_one(found):
            return together(found).with_labels(labels)
        if len(found) > 1:
            raise _several(found, root)
        if found:
            return found[0].with_labels(labels)
        level = [child for folder in level for child in sub_folders(folder)]
    raise _nothing_found(root)


def recognise(folder: Path, naming: Naming | None = None) -> list[Layout]:
    """Return the layout of a folder, or those of its sections, or nothing.

    References that separate left from right are preferred.
    """
    if apart := lungs_apart(folder, naming):
        return [apart]
    if found := beside(folder, naming):
        return found
    one = in_one_folder(folder, naming)
    return [one] if one else []


def _several(found: list[Layout], root: Path) -> LungsegError:
    names = ", ".join(f'"{layout.folder.relative_to(root)}"' for layout in found)
    remedy = "name one of them, or put all images below one folder and all masks below another, by the same names"
    return LungsegError(f"there are {len(found)} data sets in it: {names}", root, remedy, code="several-data-sets")


def _nothing_found(root: Path) -> UsageError:
    if not any(picture_name(path) for path in root.rglob("*")):
        return UsageError(
            "there is no image in this folder", root, "check the path of the data set", code="no-pictures"
        )
    remedy = "give one that holds images/ and masks/ (or labels/), or name --images and --masks"
    if command := propose_folders(root):
        remedy = f"if this is right, run: {command}"
    return UsageError("no known layout is in this folder", root, remedy, code="layout-unknown")
