# SPDX-License-Identifier: Apache-2.0
"""Read the files of references as label maps: 0 background, 1 right lung, 2 left lung."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from os import PathLike
from pathlib import Path

import numpy as np

from lungseg.data.label_values import LabelValues, parse_labels, separate_colours, separate_values
from lungseg.data.labels import (
    HEART,
    LEFT,
    NOT_STATED,
    RIGHT,
    LabelMap,
    MaskError,
    from_lungs,
    from_parts,
    from_sides,
    from_values,
)
from lungseg.data.pairing import Label, picture_name
from lungseg.data.problems import LATERALITY_UNKNOWN, NOT_A_MASK, ONE_LUNG, UNREADABLE
from lungseg.io.reading import read_mask_colours, read_mask_values
from lungseg.utils.errors import LungsegError

# So many files beside a mask show whether they are label maps.
_NEIGHBOURS = 16
_ONE_SIDE = ({RIGHT}, {LEFT})


def read_label(label: str | PathLike[str] | Label, labels: str | None = None) -> LabelMap:
    """Read a binary mask (0/255 or 0/1), a label map (0/1/2, 3 for the heart) or a pair of masks (right, left lung).

    Args:
        label: the file, or the two files.
        labels: what the values of one file stand for, see :func:`lungseg.data.label_values.parse_labels`.

    Raises:
        MaskError: the reference cannot be used; the message names its file.
        UsageError: `labels` cannot be read.
    """
    if isinstance(label, tuple | list):
        right, left = (Path(path) for path in label)
        return _named(right, lambda: from_lungs(read_values(right), read_values(left)))
    path = Path(label)
    return _named(path, lambda: _from_file(path, None if labels is None else parse_labels(labels)))


def _from_file(path: Path, stated: LabelValues | None) -> LabelMap:
    """Read one file, by what is stated about its values or colours."""
    if stated is None:
        return _from_values(read_values(path), path)
    if stated.names:
        name, meaning = next(iter(stated.names.items()))
        what = f"--labels states {meaning}={name}, and a mask has values or colours, not names"
        raise MaskError(what, remedy="give values, such as right=1,left=2", code=NOT_A_MASK)
    try:
        if stated.colours:
            return from_parts(separate_colours(_read(read_mask_colours, path), stated))
        values = read_values(path)
        if stated.states_lungs:
            return from_parts(separate_values(values, stated))
    except MaskError:
        raise
    except LungsegError as error:
        raise MaskError(error.what, path, error.remedy, code=error.code) from error
    unstated = np.isin(values, [value for value, meaning in stated.numbers.items() if meaning == "background"])
    values = np.where(unstated, values.dtype.type(0), values)
    silent = np.isin(values, [value for value, meaning in stated.numbers.items() if meaning == "ignore"])
    # A device does not cut a lung in two: the sides are separated as if it were lung.
    label = _from_values(np.where(silent, values.max(), values) if silent.any() else values, path)
    return replace(label, labels=np.where(silent, np.uint8(NOT_STATED), label.labels))


def _from_values(values: np.ndarray, path: Path) -> LabelMap:
    """Read values of which nothing is stated: with the value of one side alone, a file is of the kind of others."""
    try:
        return from_values(values)
    except MaskError as error:
        one_side = error.code in (ONE_LUNG, LATERALITY_UNKNOWN) and set(np.unique(values).tolist()) - {0} in _ONE_SIDE
        if not (one_side and _are_label_maps(path.parent, path.parent.stat().st_mtime_ns)):
            raise
        return from_sides(values.astype(np.uint8))


@lru_cache(maxsize=64)
def _are_label_maps(folder: Path, changed: int) -> bool:
    """Return whether one of the first pictures in a folder is a label map with both lungs."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_file() and not entry.name.startswith("."))
    pictures = [folder / name for name in names if picture_name(folder / name)]
    return any(map(_is_label_map, pictures[:_NEIGHBOURS]))


def _is_label_map(path: Path) -> bool:
    try:
        present = set(np.unique(read_mask_values(path)).tolist())
    except LungsegError:
        return False
    return {RIGHT, LEFT} <= present <= {0, RIGHT, LEFT, HEART}


def read_values(path: Path) -> np.ndarray:
    """Return the values of a mask file, (H, W), any real dtype, in the orientation of `lungseg.io.read_radiograph`.

    Colours must be grey, or have one channel that is not empty. In a palette of coloured labels the indices are used.
    Where the colour is the same everywhere, the opacity is used.

    Raises:
        MaskError: the file is damaged, too small, too large or coloured.
    """
    return _read(read_mask_values, path)


def _read(read: Callable[[Path], np.ndarray], path: Path) -> np.ndarray:
    try:
        return read(path)
    except LungsegError as error:
        code = NOT_A_MASK if error.code == "mask-coloured" else UNREADABLE
        raise MaskError(error.what, path, error.remedy, code=code) from error


def _named(path: Path, read: Callable[[], LabelMap]) -> LabelMap:
    """Call `read`, and name the file in its errors."""
    try:
        return read()
    except MaskError as error:
        if error.where is not None:
            raise
        named = MaskError(error.what, path, error.remedy, code=error.code)
        named.lungs = error.lungs
        raise named from error
