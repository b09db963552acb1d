# SPDX-License-Identifier: Apache-2.0
"""Options that name a data set, its lists and its patients, as items of the bundle's config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import Any, TypedDict

from lungseg.utils.errors import UsageError

_Path = str | PathLike[str]


class DataOptions(TypedDict, total=False):
    """Further options of a data set, by the names that the commands give them.

    Attributes:
        images, masks: two folders, instead of one that holds both; `masks` may be a file of annotations.
        image_prefix, image_suffix, mask_prefix, mask_suffix: how the name of a mask differs from that of its image.
        labels: what the values of the masks stand for, such as "right=1,left=2".
        datasets: use only these data sets, such as ["montgomery"].
        splits: file with the lists for training, validation and test.
        patients: regular expression or CSV file that gives the patient of an image.
    """

    images: _Path
    masks: _Path
    image_prefix: str
    image_suffix: str
    mask_prefix: str
    mask_suffix: str
    labels: str
    datasets: Sequence[str]
    splits: _Path
    patients: _Path


# Option -> item of `data_source`, where their names differ.
_ITEMS = {"datasets": "sets", "splits": "splits_file"}


def data_items(data: _Path | None, options: Mapping[str, Any], required: bool = True) -> dict[str, Any]:
    """Return items of the bundle's config, and their values, for a data set.

    Args:
        data: its folder, or None if the options name `images`.
        options: see :class:`DataOptions`; None is an option that is not given.
        required: a data set must be named.

    Raises:
        UsageError: none is named (data-not-named).
        TypeError: there is no such option.
    """
    if unknown := sorted(set(options) - set(DataOptions.__annotations__)):
        raise TypeError(f"there is no argument {unknown[0]!r}; there are {', '.join(DataOptions.__annotations__)}")
    if required and data is None and options.get("images") is None:
        raise UsageError(
            "no data set was named", remedy="give --data DIR, or --images DIR and --masks DIR", code="data-not-named"
        )
    items: dict[str, Any] = {
        f"data_source#{_ITEMS.get(name, name)}": fspath(value) if isinstance(value, PathLike) else value
        for name, value in options.items()
        if value is not None
    }
    if required or data is not None:
        items["dataset_dir"] = None if data is None else fspath(data)
    return items
