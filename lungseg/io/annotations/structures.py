# SPDX-License-Identifier: Apache-2.0
"""The structures that names of categories and of columns stand for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from lungseg.utils.errors import LungsegError
from lungseg.utils.text import shorten_list

# Values of the label map that an annotation becomes.
CODES = {"right": 1, "left": 2, "heart": 3, "lung": 255, "ignore": 254}
_SIDES = {"right": "right", "r": "right", "rt": "right", "left": "left", "l": "left", "lt": "left"}
_LUNGS, _HEARTS = {"lung", "lungs", "pulmonary", "pulmo"}, {"heart", "cardiac", "cor"}
# Further words of a name that change nothing.
_FILLING = {"field", "fields", "mask", "masks", "rle", "segmentation", "seg", "the", "area", "region", "both", "label"}
_SHOWN = 6


def structure_of(name: str, stated: Mapping[str, str]) -> str | None:
    """Return the structure, a key of `CODES`, that a name stands for, in any case and with any separators.

    Args:
        name: such as "Right Lung", "left_lung", "lungs" or "Heart".
        stated: names -> structures; if there are any, no other name counts.
    """
    plain = _plain(name)
    if stated:
        return next((structure for other, structure in stated.items() if _plain(other) == plain), None)
    words = set(plain.split()) - _FILLING
    sides = {_SIDES[word] for word in words if word in _SIDES}
    others = words - _SIDES.keys()
    if len(sides) == 1 and (not others or others <= _LUNGS) and (others or words & {"right", "left"}):
        return sides.pop()
    if not sides and others and others <= _LUNGS:
        return "lung"
    return "heart" if not sides and others and others <= _HEARTS else None


def _plain(name: str) -> str:
    """Return a name in small letters, with blanks between its words: "leftLung" and "Left-Lung" agree."""
    return " ".join(re.findall(r"[a-z]+|[0-9]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))


def check_has_lungs(found: Iterable[str | None], names: Iterable[str], path: object) -> None:
    """Check that a name stands for a lung.

    Raises:
        LungsegError: none does (category-unknown).
    """
    if {"right", "left", "lung"}.isdisjoint(found):
        listed = list(names)
        what = f"no category is a lung by its name ({shorten_list(listed, _SHOWN) or 'there is none'})"
        example = f"lung={listed[0]}" if len(listed) == 1 else "right=NAME,left=NAME"
        raise LungsegError(what, str(path), f"say which are, with --labels '{example}'", code="category-unknown")
