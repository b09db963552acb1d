# SPDX-License-Identifier: Apache-2.0
"""Explain masks that do not lie on the lungs: turned, mirrored, shifted, sides exchanged, or on another image.

The thresholds come from 205 pairs of image and mask of four public collections, whose masks are right: none of them has
a Dice below .84, none fits better turned or mirrored (mirrored comes within .02), a shift improves none by more than
.012, and none fits another image better by more than .03; no two would both gain if they were exchanged. With the lungs
of another image a mask has a Dice of .73 in the middle, and of .95 at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lungseg.evaluation.mask_fit import GRID, ORIENTATIONS, Mask, Orientation, Shift, best_shift, dice
from lungseg.utils.text import escape_control, shorten_list

# The Dice that a mask has in its place, and that it must gain there.
_IN_PLACE, _GAIN = 0.85, 0.05
# A few masks of many are said to be turned only where they fit so well: among as many other lungs, some fit by chance.
_IN_PLACE_ALONE = 0.9
# A shift is small, and the same for most masks: in units of the grid.
_SHIFT_GAIN, _LEAST_SHIFT, _SAME_SHIFT = 0.02, 1.5 / GRID, 3 / GRID
# Another image is named where its lungs fit so well, and so much better; two masks that both gain need less.
_ON_ANOTHER, _ON_ANOTHER_GAIN, _EXCHANGED_GAIN = 0.9, 0.05, 0.02
# Only masks that fit less well are suspected, and among so many images before and after their own.
_SUSPECTED, _NEAR = 0.96, 500
# Without an explanation, a mask with a lower Dice lies on other lungs.
_ELSEWHERE = 0.75
_NAMES_SHOWN = 3

Lungs = tuple[Mask, ...]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with some masks.

    Attributes:
        code: a stable, short name, such as "masks-turned-180".
        sentence: what is wrong, with numbers, and what to do.
        cases: the names of the cases.
    """

    code: str
    sentence: str
    cases: tuple[str, ...]

    def __str__(self) -> str:
        return escape_control(self.sentence)


@dataclass(frozen=True)
class Compared:
    """A mask and the lungs that were found in its image, both on the grid.

    Attributes:
        name: of the case.
        file: of the mask.
        mask: the union of the lungs.
        lungs: the lungs that were found, to each extent.
        size: (width, height) of the image in pixels.
        upright: whether the mask's width and height are in the proportion of the image's; if not, they are exchanged.
        swapped: whether the reference has the right lung on the right of the picture.
    """

    name: str
    file: Path
    mask: Mask
    lungs: Lungs
    size: tuple[int, int]
    upright: bool
    swapped: bool

    @cached_property
    def dice(self) -> float:
        """The Dice of the mask as it is."""
        return fit(self.mask, self.lungs)

    @cached_property
    def orientation(self) -> tuple[float, Orientation]:
        """The Dice in the best of the other orientations, and which it is."""
        tried = [one for one in ORIENTATIONS if self.upright or one.transposes]
        return max(((fit(one.undo(self.mask), self.lungs), one) for one in tried), key=lambda found: found[0])

    @cached_property
    def shift(self) -> Shift:
        """The best shift."""
        return max((best_shift(self.mask, lungs) for lungs in self.lungs), key=lambda found: found.dice)

    def is_turned(self) -> bool:
        """Whether another orientation explains the mask."""
        found, _ = self.orientation
        return found >= max(_IN_PLACE, self.dice + (_GAIN if self.upright else 0), self.shift.dice - 0.02)

    def is_shifted(self) -> bool:
        """Whether a shift explains the mask."""
        far = max(abs(self.shift.right), abs(self.shift.down)) >= _LEAST_SHIFT
        return self.upright and far and self.shift.dice >= max(_IN_PLACE, self.dice + _SHIFT_GAIN)


def fit(mask: Mask, lungs: Lungs) -> float:
    """Return the Dice of a mask with lungs, in the extent that fits better."""
    return max(dice(mask, one) for one in lungs)


def findings(compared: Sequence[Compared], next_to: Callable[[str], Mapping[str, Lungs]]) -> list[Finding]:
    """Return everything that is wrong with masks, the most frequent first.

    Args:
        compared: the masks with the lungs of their images.
        next_to: returns the lungs in the images next to the one of a case, by their files' names.
    """
    found: list[Finding] = []
    left = {one.name: one for one in compared}

    def take(finding: Finding | None) -> None:
        if finding is not None:
            found.append(finding)
            for name in finding.cases:
                del left[name]

    total = len(compared)
    for orientation in ORIENTATIONS:
        take(_turned(list(left.values()), orientation, total))
    take(_shifted(list(left.values()), total))
    take(_on_other_images(list(left.values()), compared, next_to))
    take(_elsewhere([one for one in left.values() if one.dice < _ELSEWHERE], total))
    take(_swapped([one for one in left.values() if one.swapped], total))
    return sorted(found, key=lambda finding: -len(finding.cases))


def _turned(suspects: list[Compared], orientation: Orientation, total: int) -> Finding | None:
    def after(one: Compared) -> float:
        return fit(orientation.undo(one.mask), one.lungs)

    cases = [one for one in suspects if one.is_turned() and one.orientation[1] == orientation]
    if not cases or (2 * len(cases) < total and _mean(map(after, cases)) < _IN_PLACE_ALONE):
        return None
    if 2 * len(cases) >= total:
        # One reason for most is the likely one for a mask that fits less well, too.
        cases = [one for one in suspects if one in cases or after(one) > one.dice]
    improved = f"{_mean(map(after, cases)):.2f} once changed back"
    return _finding(f"masks-{orientation.name}", cases, total, orientation.described, improved, orientation.remedy)


def _shifted(suspects: list[Compared], total: int) -> Finding | None:
    cases = [one for one in suspects if one.is_shifted()]
    if not cases:
        return None
    middle = np.median([one.shift[1:] for one in cases], axis=0)

    def is_alike(one: Compared) -> bool:
        return float(np.abs(np.subtract(one.shift[1:], middle)).max()) < _SAME_SHIFT

    if 2 * sum(map(is_alike, cases)) < total:
        return None
    cases = [one for one in suspects if one.upright and is_alike(one)]
    right, down = (round(float(value)) for value in np.median([_pixels(one) for one in cases], axis=0))
    parts = [(right, "to the right" if right > 0 else "to the left"), (down, "downwards" if down > 0 else "upwards")]
    shown = " and ".join(
        f"{abs(pixels)} pixels {where}"
        for (pixels, where), share in zip(parts, middle, strict=True)
        if abs(share) >= _LEAST_SHIFT
    )
    improved = f"{_mean(one.shift.dice for one in cases):.2f} once shifted back"
    remedy = "look whether images and masks were cropped or padded alike"
    return _finding("masks-shifted", cases, total, f"shifted by about {shown}", improved, remedy)


def _pixels(one: Compared) -> tuple[float, float]:
    width, height = one.size
    return one.shift.right * width, one.shift.down * height


def _on_other_images(
    suspects: list[Compared], compared: Sequence[Compared], next_to: Callable[[str], Mapping[str, Lungs]]
) -> Finding | None:
    cases, others, after = [], [], []
    places = {one.name: place for place, one in enumerate(compared)}
    for one in sorted((one for one in suspects if one.dice < _SUSPECTED), key=lambda one: one.dice):
        place = places[one.name]
        near = [other for other in compared[max(0, place - _NEAR) : place + _NEAR + 1] if other is not one]
        fits = {other.name: fit(one.mask, other.lungs) for other in near}
        if one.dice < _IN_PLACE:
            fits |= {name: fit(one.mask, lungs) for name, lungs in next_to(one.name).items()}
        best = max(fits, key=lambda name: fits[name], default=None)
        if best is None or fits[best] < _ON_ANOTHER:
            continue
        partner = compared[places[best]] if best in places else None
        exchanged = partner is not None and fit(partner.mask, one.lungs) >= partner.dice + _EXCHANGED_GAIN
        if fits[best] >= one.dice + (_EXCHANGED_GAIN if exchanged else _ON_ANOTHER_GAIN):
            cases.append(one)
            others.append(best)
            after.append(fits[best])
    if not cases:
        return None
    pairs = [f"{one.file.name} on {other}" for one, other in zip(cases, others, strict=True)]
    verb = "lies" if len(cases) == 1 else "lie"
    numbers = f"the mean Dice is {_mean(one.dice for one in cases):.2f} as they are, and {_mean(after):.2f} there"
    sentence = (
        f"{len(cases)} of {len(compared)} masks {verb} on another image than the one they are named for "
        f"({shorten_list(pairs, _NAMES_SHOWN)}): {numbers}; give each mask the name of its image"
    )
    return Finding("masks-on-other-images", sentence, _names(cases))


def _elsewhere(cases: list[Compared], total: int) -> Finding | None:
    if not cases:
        return None
    remedy = "look whether they show lungs, and lungs of these images"
    return _finding("masks-elsewhere", cases, total, "not on the lungs", "no turn and no shift explains it", remedy)


def _swapped(cases: list[Compared], total: int) -> Finding | None:
    if not cases:
        return None
    what = f"right and left are exchanged in {len(cases)} of {total} references, whose outlines lie on the lungs"
    numbers = f"mean Dice {_mean(one.dice for one in cases):.2f}"
    sentence = f"{what} ({numbers}); exchange the labels: 1 is the patient's right lung, on the left of the picture"
    return Finding("sides-exchanged", sentence, _names(cases))


def _finding(code: str, cases: list[Compared], total: int, described: str, improved: str, remedy: str) -> Finding:
    """Describe changed masks: all masks of the data set if they are most of the sample, else those that are named."""
    named, verb = shorten_list([one.file.name for one in cases], _NAMES_SHOWN), "is" if len(cases) == 1 else "are"
    if 2 * len(cases) >= total:
        subject, of = f"the masks are {described}", f"for {len(cases)} of {total}"
    else:
        subject, of = f"{len(cases)} of {total} masks ({named}) {verb} {described}", "for these"
    # Masks of another shape than their images have no Dice as they are.
    before = [f"{_mean(one.dice for one in cases):.2f} as they are"] if all(one.upright for one in cases) else []
    numbers = ", and ".join([*before, improved])
    sentence = f"{subject}: {of}, the mean Dice with the lungs that the network finds is {numbers}; {remedy}"
    return Finding(code, sentence, _names(cases))


def _names(cases: list[Compared]) -> tuple[str, ...]:
    return tuple(one.name for one in cases)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
