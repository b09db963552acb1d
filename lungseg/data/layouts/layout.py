# SPDX-License-Identifier: Apache-2.0
"""The places of the images and the references of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lungseg.data.annotations import LABELS_BY_NAME, are_annotations, pair_annotations
from lungseg.data.label_values import parse_labels
from lungseg.data.naming import Naming
from lungseg.data.pairing import Pairing, pair_by_name
from lungseg.data.splits import OTHER, SETS, set_of
from lungseg.utils.errors import UsageError


@dataclass(frozen=True)
class Layout:
    """The places of the images and the references of a data set.

    Attributes:
        kind: the layout's name, for people.
        folder: the data set's folder.
        images: the folder of images; the names of the cases are relative to it.
        pair: function that matches the images with their references.
        labels: what the values of the references stand for, where it is stated.
        name: of the data set: that of the folder that the user named.
    """

    kind: str
    folder: Path
    images: Path
    pair: Callable[[], Pairing]
    labels: str | None = None
    name: str = OTHER

    def set_of(self, case: str) -> str:
        """Return the data set of a case by its name: "montgomery", "shenzhen", or the name of this one."""
        found = set_of(case)
        return self.name or OTHER if found == OTHER else found

    def is_in(self, case: str, sets: Sequence[str]) -> bool:
        """Return whether a case is in one of some data sets; "other" are all but the public ones.

        Raises:
            UsageError: there is no data set of one of the names (set-unknown).
        """
        known = dict.fromkeys((*SETS, self.name))
        if unknown := sorted(set(sets).difference(known)):
            remedy = f"choose from {', '.join(known)}"
            raise UsageError(f"there is no data set {unknown[0]!r}", remedy=remedy, code="set-unknown")
        return not {set_of(case), self.set_of(case)}.isdisjoint(sets)

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


def two_folders(images: Path, masks: Path, naming: Naming | None = None, labels: str | None = None) -> Layout:
    """Return the layout of any two folders, or of a folder of images and a file or a folder of annotations.

    Raises:
        UsageError: a folder does not exist, `masks` is a file of another kind, or `labels` cannot be read.
    """
    if images.is_dir() and are_annotations(masks, images):
        stated = labels or LABELS_BY_NAME
        return Layout("annotations", masks, images, lambda: pair_annotations(images, masks, labels), stated)
    if masks.is_file():
        what = "this file holds no annotations that are known"
        remedy = "give COCO or LabelMe JSON, a CSV file with run lengths, or a folder of masks"
        raise UsageError(what, masks, remedy, code="annotations-unknown")
    for folder in (images, masks):
        if not folder.is_dir():
            raise UsageError("there is no such folder", folder, "check the path", code="not-found")
    return Layout("two folders", images, images, lambda: pair_by_name(images, masks, naming)).with_labels(labels)
