# SPDX-License-Identifier: Apache-2.0
"""Find the annotation of an image by its name."""

from __future__ import annotations

from collections import defaultdict
from typing import Generic, TypeVar

from lungseg.io.formats import split_ending

_Place = TypeVar("_Place")


class Names(Generic[_Place]):
    """The places of annotations, by the names of their images as the annotations write them."""

    def __init__(self) -> None:
        self._places: dict[str, dict[tuple[str, ...], list[_Place]]] = defaultdict(dict)

    def add(self, name: str, place: _Place) -> None:
        """Add a place for an image; the name may be a path, with or without an ending."""
        *folders, stem = _parts(name)
        self._places[stem].setdefault(tuple(folders), []).append(place)

    def find(self, name: str, alone: bool) -> list[_Place]:
        """Return the places for an image.

        Args:
            name: its path within its folder, without its ending.
            alone: whether no other image has the same last part; otherwise folders must agree too.
        """
        *folders, stem = _parts(name)
        named = self._places.get(stem, {})
        if len(named) == 1 and alone:
            return next(iter(named.values()))
        agreeing = [places for other, places in named.items() if _end_alike(tuple(folders), other)]
        return agreeing[0] if len(agreeing) == 1 else []


def _parts(name: str) -> list[str]:
    parts = [part for part in name.strip().replace("\\", "/").split("/") if part not in ("", ".", "..")] or [""]
    split = split_ending(parts[-1])
    return [*parts[:-1], split[0] if split else parts[-1]]


def _end_alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return whether one path ends with the other; an empty one agrees with an empty one only."""
    length = min(len(one), len(other))
    return one == other if length == 0 else one[-length:] == other[-length:]
