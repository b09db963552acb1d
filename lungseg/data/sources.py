# SPDX-License-Identifier: Apache-2.0
"""A training's sources: folders whose references state different things, each with its share of a batch."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from lungseg.data.layouts import Layout, two_folders
from lungseg.data.naming import MASK_SUFFIX, Naming
from lungseg.data.pairing import Pairing, pair_by_name
from lungseg.data.splits import SECTIONS, Split, set_of
from lungseg.utils.errors import LungsegError, UsageError

EXTENTS = ("visible", "full")


@dataclass(frozen=True)
class Source:
    """One source; paths are relative to the data set's folder.

    Attributes:
        name: of the source; its cases' `set`.
        root: the folder that the paths are relative to.
        images, masks: folders of the radiographs and of their masks or label maps.
        mask_suffix, mask_prefix, image_suffix, image_prefix: how names differ, see :func:`lungseg.data.find_data`.
        extent: what the masks show: the "visible" lungs, or the lungs to their "full" extent, behind the heart too.
        hearts: folder of masks of the heart, for the same cases.
        labels: what the values of the masks stand for, see :func:`lungseg.data.label_values.parse_labels`.
        table: CSV file with a line for each case: its `name`, and its `split` if the source has lists.
        where: column of the table -> the value, or the values, that a case must have to be used.
        sets: only cases of these public data sets, see :func:`lungseg.data.splits.set_of`.
        exclude: names of cases that are not used.
        share: of each batch, relative to the shares of the other sources.
    """

    name: str
    root: Path
    images: str
    masks: str
    mask_suffix: str = MASK_SUFFIX
    mask_prefix: str = ""
    image_suffix: str = ""
    image_prefix: str = ""
    extent: str = "visible"
    hearts: str | None = None
    labels: str | None = None
    table: str | None = None
    where: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    sets: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    share: float = 1.0

    def layout(self) -> Layout:
        """Return the images and references of the source, without the cases that it does not use.

        Raises:
            LungsegError: a folder or the table is missing, or an image has no heart.
        """
        naming = Naming(self.image_prefix, self.image_suffix, self.mask_prefix, self.mask_suffix)
        found = two_folders(self.root / self.images, self.root / self.masks, naming, self.labels)
        return replace(found, kind=self.name, pair=lambda: self._pair(found))

    def lists(self) -> Split | None:
        """Return the lists that the table states, or None if the cases have to be split."""
        if not any("split" in row for row in self._rows.values()):
            return None
        return {section: [name for name, row in self._rows.items() if row["split"] == section] for section in SECTIONS}

    def _pair(self, layout: Layout) -> Pairing:
        pairing = layout.pair()
        pairs = [case for case in pairing.pairs if self._is_used(case.name)]
        # An image that is not used needs no mask, and the other way round.
        pairing = Pairing(pairs, images=len(pairs), masks=len(pairs))
        if self.hearts is None:
            return pairing
        hearts = {case.name: case.files[0] for case in pair_by_name(layout.images, self.root / self.hearts).pairs}
        if missing := [case.name for case in pairs if case.name not in hearts]:
            what = f"{len(missing)} images have no heart in it, the first being {missing[0]}"
            remedy = "add them, or leave out the source's hearts"
            raise LungsegError(what, self.root / self.hearts, remedy, code="heart-missing")
        return replace(pairing, pairs=[replace(case, heart=hearts[case.name]) for case in pairs])

    def _is_used(self, name: str) -> bool:
        if name in self.exclude or (self.sets is not None and set_of(name) not in self.sets):
            return False
        if self.table is None:
            return True
        row = self._rows.get(name)
        wanted = {column: [value] if isinstance(value, str) else value for column, value in self.where.items()}
        return row is not None and all(row[column] in values for column, values in wanted.items())

    @cached_property
    def _rows(self) -> dict[str, dict[str, str]]:
        if self.table is None:
            return {}
        path = self.root / self.table
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = {row["name"]: row for row in csv.DictReader(file)}
        except (OSError, KeyError, ValueError) as error:
            what = "this is not a readable CSV file with the column name"
            raise LungsegError(what, path, "correct it, or the source's table", code="table-invalid") from error
        if unknown := [column for row in rows.values() for column in self.where if column not in row]:
            raise LungsegError(
                f"it has no column {unknown[0]!r}", path, "correct the source's where", code="table-invalid"
            )
        return rows


def read_sources(sources: Sequence[Mapping[str, Any]], dataset_dir: str | PathLike[str] | None) -> list[Source]:
    """Check the description of sources, as configs state it.

    Args:
        sources: the attributes of each :class:`Source`, without `root`.
        dataset_dir: the folder that the sources' paths are relative to.

    Raises:
        UsageError: an attribute is missing, unknown or has no such value, or two sources have one name.
    """
    known = {one.name for one in fields(Source)} - {"root"}
    found: list[Source] = []
    for number, described in enumerate(sources, start=1):
        name = described.get("name", f"number {number}")
        if wrong := sorted(described.keys() - known) + sorted({"name", "images", "masks"} - described.keys()):
            what = f"the source {name} has an unknown item, or lacks one: {wrong[0]!r}"
            remedy = f"a source has {', '.join(sorted(known))}"
            raise UsageError(what, remedy=remedy, code="bad-source")
        source = Source(root=Path(dataset_dir or "."), **described)
        if source.extent not in EXTENTS:
            what = f"the source {name} cannot have the extent {source.extent!r}"
            raise UsageError(what, remedy=f"use {' or '.join(EXTENTS)}", code="bad-source")
        if source.share <= 0 or name in {other.name for other in found}:
            what = f"the source {name} has the name of another one, or a share that is not above 0"
            raise UsageError(what, remedy="correct it", code="bad-source")
        found.append(source)
    return found
