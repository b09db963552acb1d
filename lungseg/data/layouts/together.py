# SPDX-License-Identifier: Apache-2.0
"""Take the folders of one data set together: one for each class, or for each of train, validation and test."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from lungseg.data.folders import is_class_or_section, plain
from lungseg.data.layouts.layout import Layout
from lungseg.data.pairing import Pairing
from lungseg.data.patients import file_stem

# COVID-QU-Ex has some of its cases again in a second folder, with masks of the infection too.
_WHOLE, _SUBSET = "lungsegmentationdata", "infectionsegmentationdata"


def without_copies(found: Sequence[Layout]) -> list[Layout]:
    """Leave out folders that public data sets hold besides, with a part of the same cases."""
    if any(_lies_in(layout, _WHOLE) for layout in found):
        return [layout for layout in found if not _lies_in(layout, _SUBSET)]
    return list(found)


def are_one(found: Sequence[Layout]) -> bool:
    """Return whether several layouts are parts of one data set.

    Their folders are built in the same way, and they are called by a class or a section; or no two cases have one name.
    """
    if (
        len({(plain(layout.images.name) if layout.images != layout.folder else "", layout.kind) for layout in found})
        > 1
    ):
        return len({layout.folder for layout in found}) == 1
    root = _root(found)
    if all(any(map(is_class_or_section, layout.images.relative_to(root).parts)) for layout in found):
        return True
    stems = [file_stem(case.name) for layout in found for case in layout.pair().pairs]
    return len(set(stems)) == len(stems) > 0


def together(found: Sequence[Layout]) -> Layout:
    """Return one layout of several; the names of the cases are their paths below the folder that holds them all."""
    root = _root(found)
    folders = ", ".join(dict.fromkeys(str(_inside(layout, root)) for layout in found))
    kind = f"{found[0].kind} in {len(found)} folders, taken together: {folders}"
    return Layout(kind, root, root, lambda: _merge([_renamed(layout, root) for layout in found]), found[0].labels)


def _inside(layout: Layout, root: Path) -> Path:
    return (layout.images if layout.folder == root else layout.folder).relative_to(root)


def _renamed(layout: Layout, root: Path) -> Pairing:
    before, pairing = layout.images.relative_to(root).as_posix(), layout.pair()
    return replace(
        pairing,
        pairs=[replace(case, name=f"{before}/{case.name}") for case in pairing.pairs],
        problems=[replace(problem, name=f"{before}/{problem.name}") for problem in pairing.problems],
    )


def _merge(pairings: Sequence[Pairing]) -> Pairing:
    return Pairing(
        pairs=sorted(chain.from_iterable(one.pairs for one in pairings), key=lambda case: case.name),
        images_without_mask=list(chain.from_iterable(one.images_without_mask for one in pairings)),
        masks_without_image=list(chain.from_iterable(one.masks_without_image for one in pairings)),
        problems=list(chain.from_iterable(one.problems for one in pairings)),
        images=sum(one.images for one in pairings),
        masks=sum(one.masks for one in pairings),
        naming=pairings[0].naming,
    )


def _root(found: Sequence[Layout]) -> Path:
    return Path(os.path.commonpath([layout.images.parent for layout in found]))


def _lies_in(layout: Layout, name: str) -> bool:
    return name in [plain(part) for part in layout.folder.parts]
