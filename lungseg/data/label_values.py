# SPDX-License-Identifier: Apache-2.0
"""What the values, the colours or the names of a reference stand for: `right=1,left=2,heart=3,ignore=4`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lungseg.data.problems import NOT_A_MASK
from lungseg.utils.errors import LungsegError, UsageError

MEANINGS = ("right", "left", "lung", "heart", "ignore", "background")
_EXAMPLE = "right=1,left=2, or lung=255, or right=#ff0000,left=#00ff00"
_COLOUR = re.compile(r"#([0-9a-f]{6})")
_PLAIN = re.compile(r"[\w=,#.-]+", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,10}")

# Smooth drawing and JPEG leave other values at borders: fewer of the pixels than this share, and of many values.
_MAX_NOISE = 0.02
_FEWEST_SHADES = 4
# A colour so far from all stated ones, of 442 from black to white, on so many of the pixels is another label.
_FAR = 96
_MIN_SHARE = 0.002


@dataclass(frozen=True)
class LabelValues:
    """The meanings that an option states.

    Attributes:
        text: the option.
        numbers: value of a mask, or number of a category -> its meaning, one of `MEANINGS`.
        colours: 0xRRGGBB -> meaning.
        names: name of a category, in small letters -> meaning.
    """

    text: str
    numbers: dict[int, str]
    colours: dict[int, str]
    names: dict[str, str]

    @property
    def states_lungs(self) -> bool:
        """Whether a lung is among the meanings; otherwise everything but the stated values is as without them."""
        return not {"right", "left", "lung"}.isdisjoint(
            [*self.numbers.values(), *self.colours.values(), *self.names.values()]
        )


@lru_cache(maxsize=64)
def parse_labels(text: str) -> LabelValues:
    """Read an option such as `right=1,left=2,heart=3,ignore=4`, `lung=1` or `right=#ff0000,left=#00ff00`.

    A meaning may have several values: `lung=1,lung=2`. Values that are numbers or colours are those of mask pictures,
    and numbers and names those of annotation files. `ignore` is for pixels that say nothing.

    Raises:
        UsageError: a part is not of this kind, a value has two meanings, only one lung is stated, or numbers are mixed
            with colours.
    """
    numbers: dict[int, str] = {}
    colours: dict[int, str] = {}
    names: dict[str, str] = {}
    for part in text.split(","):
        meaning, equals, value = (piece.strip().lower() for piece in part.partition("="))
        if not equals or not value or meaning not in MEANINGS:
            what = f"--labels has the part {part.strip()!r}, which is not one of {', '.join(MEANINGS)} with a value"
            raise _wrong(what)
        if found := _COLOUR.fullmatch(value):
            known = colours.setdefault(int(found[1], 16), meaning)
        elif value.startswith("#"):
            raise _wrong(f"--labels has the colour {value!r}, which is not # and six digits of 0-9 and a-f")
        elif _NUMBER.fullmatch(value):
            known = numbers.setdefault(int(value), meaning)
        else:
            known = names.setdefault(value, meaning)
        if known != meaning:
            raise _wrong(f"--labels says that {value} is {known} and that it is {meaning}")
    if numbers and colours:
        raise _wrong("--labels mixes numbers with colours")
    stated = {*numbers.values(), *colours.values(), *names.values()}
    if len(stated & {"right", "left"}) == 1 and "lung" not in stated:
        raise _wrong("--labels states one lung only")
    return LabelValues(text, numbers, colours, names)


def separate_values(values: np.ndarray, stated: LabelValues) -> dict[str, np.ndarray]:
    """Return the mask (H, W) bool of each meaning in the (H, W) values of a picture.

    A few pixels with shades between the stated values get the meaning of the nearest one.

    Raises:
        LungsegError: a value has no meaning (not-a-mask).
    """
    meanings = {0: "background"} | stated.numbers
    known = np.isin(values, list(meanings))
    if not known.all():
        others = values[~known]
        shades = np.unique(others)
        if others.size > _MAX_NOISE * values.size or shades.size < _FEWEST_SHADES:
            raise _without_meaning([f"{shade:g}" for shade in shades])
        numbers = np.array(sorted(meanings))
        values = values.copy()
        values[~known] = numbers[np.abs(others[:, None].astype(np.float64) - numbers).argmin(1)]
    return {
        meaning: np.isin(values, [value for value, one in meanings.items() if one == meaning]) for meaning in MEANINGS
    }


def separate_colours(colours: np.ndarray, stated: LabelValues) -> dict[str, np.ndarray]:
    """Return the mask (H, W) bool of each meaning: a pixel has the meaning of the nearest stated colour, or of black.

    Args:
        colours: (H, W) uint32, 0xRRGGBB.
        stated: the meanings of colours.

    Raises:
        LungsegError: a colour that many pixels have has no meaning (not-a-mask).
    """
    meanings = ({} if "background" in stated.colours.values() else {0: "background"}) | stated.colours
    seen, places, counts = np.unique(colours, return_inverse=True, return_counts=True)
    distances = np.linalg.norm(channels(seen)[:, None] - channels(list(meanings)), axis=2)
    strange = (distances.min(1) > _FAR) & (counts >= _MIN_SHARE * colours.size)
    if strange.any():
        raise _without_meaning([f"#{colour:06x}" for colour in seen[strange]])
    nearest = np.array([MEANINGS.index(meaning) for meaning in meanings.values()], np.uint8)[distances.argmin(1)]
    found = nearest[places].reshape(colours.shape)
    return {meaning: found == number for number, meaning in enumerate(MEANINGS)}


def labels_option(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the option that states these meanings and values, as a shell takes it."""
    ordered = sorted(pairs, key=lambda pair: MEANINGS.index(pair[0]))
    text = ",".join(f"{meaning}={value}" for meaning, value in ordered)
    # A shell takes # within a word as it is.
    return f"--labels {text if _PLAIN.fullmatch(text) else shlex.quote(text)}"


def channels(colours: Iterable[int] | np.ndarray) -> np.ndarray:
    """Return the red, green and blue of colours 0xRRGGBB, (N, 3) float64."""
    packed = np.asarray(colours, np.int64)
    return np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=-1).astype(np.float64)


def _without_meaning(shown: list[str]) -> LungsegError:
    listed = ", ".join(shown[:4]) + (", ..." if len(shown) > 4 else "")
    what = f"--labels says nothing about {listed}, which it has"
    return LungsegError(what, remedy=f"add background={shown[0]} or ignore={shown[0]} to it", code=NOT_A_MASK)


def _wrong(what: str) -> UsageError:
    return UsageError(what, remedy=f"give values such as {_EXAMPLE}", code="bad-labels")
