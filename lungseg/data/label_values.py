# SPDX-License-Identifier: Apache-2.0
"""What the values, the colours or the names of a reference stand for: `right=1,left=2,heart=3,ignore=4`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from lungseg.utils.errors import UsageError

MEANINGS = ("right", "left", "lung", "heart", "ignore", "background")
_EXAMPLE = "right=1,left=2, or lung=255, or right=#ff0000,left=#00ff00"
_COLOUR = re.compile(r"#([0-9a-f]{6})")
_NUMBER = re.compile(r"-?[0-9]{1,10}")

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class LabelValues:
    """The meanings that an option states.

    Attributes:
        text: the option.
        numbers: value of a mask, or number of a category -> its meaning, one of `MEANINGS`.
        colours: red, green and blue, 0 to 255 -> meaning.
        names: name of a category, in small letters -> meaning.
    """

    text: str
    numbers: dict[int, str]
    colours: dict[Colour, str]
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
    colours: dict[Colour, str] = {}
    names: dict[str, str] = {}
    for part in text.split(","):
        meaning, equals, value = (piece.strip().lower() for piece in part.partition("="))
        if not equals or not value or meaning not in MEANINGS:
            what = f"--labels has the part {part.strip()!r}, which is not one of {', '.join(MEANINGS)} with a value"
            raise _wrong(what)
        if found := _COLOUR.fullmatch(value):
            red, green, blue = bytes.fromhex(found[1])
            known = colours.setdefault((red, green, blue), meaning)
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


def _wrong(what: str) -> UsageError:
    return UsageError(what, remedy=f"give values such as {_EXAMPLE}", code="bad-labels")
