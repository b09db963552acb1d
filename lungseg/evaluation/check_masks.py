# SPDX-License-Identifier: Apache-2.0
"""Compare a sample of a data set's masks with the lungs that a network finds, and say where they do not lie on them.

Masks are not refused: the network can be wrong. Only results that it does not doubt are used, and of two explanations
the one that fits better is given.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungseg.data import problems
from lungseg.data.check_result import CheckResult
from lungseg.data.label_files import read_label
from lungseg.data.labels import NOT_STATED, SWAPPED, MaskError
from lungseg.data.pairing import Case
from lungseg.evaluation.mask_findings import Compared, Finding, findings
from lungseg.evaluation.mask_fit import Mask, on_grid
from lungseg.io import Radiograph, read_radiograph
from lungseg.utils.errors import LungsegError

SAMPLE = 32
# Pictures are reduced to about the size at which the network sees them.
_SHORTER_SIDE = 256
# Widths over heights that differ by less are the same.
_SAME_ASPECT = 0.03
# Cases with these problems can be compared: a mask that is turned by 90 degrees has them.
_COMPARABLE = {problems.SIZE_MISMATCH, problems.LATERALITY_UNKNOWN}
# The images next to those of so many masks that fit no other image are searched, too.
_SEARCHED = 8


class Found(Protocol):
    """The result of a network, such as :class:`lungseg.inference.Prediction`."""

    @property
    def doubts(self) -> Mapping[str, str]: ...

    @property
    def notes(self) -> Mapping[str, str]: ...

    @property
    def knows_heart(self) -> bool: ...

    def label_map(self, extent: str) -> NDArray[np.uint8]: ...


Segment = Callable[[Radiograph], Found]


@dataclass(frozen=True)
class MaskComparison:
    """The result of `check_masks`.

    Attributes:
        compared: number of masks that were compared.
        pairs: number of pairs of image and mask in the data set.
        doubtful: number of masks of the sample that were left out, because the network's result is doubtful.
        seed: of the sample.
        dice: mean Dice of the masks as they are; None if none was compared.
        findings: everything that is wrong.
    """

    compared: int
    pairs: int
    doubtful: int
    seed: int
    dice: float | None
    findings: list[Finding] = field(default_factory=list)

    def __str__(self) -> str:
        """Return one line for a terminal."""
        left_out = f"; {self.doubtful} more were left out, since the network's results are doubtful"
        sample = "" if self.compared + self.doubtful == self.pairs else f", drawn with the seed {self.seed}"
        line = f"Compared {self.compared} of {self.pairs} masks{sample}, with the lungs that the network finds"
        line += "" if self.dice is None else f": mean Dice {self.dice:.2f}"
        return f"{line}{left_out if self.doubtful else ''}."


def comparable(result: CheckResult) -> list[Case]:
    """Return the pairs of a data set whose masks can be compared, sorted by name."""
    kinds: dict[str, set[str]] = {}
    for problem in result.problems:
        # A mask of one lung cannot be compared with both.
        if problem.excluded or problem.kind == problems.ONE_LUNG:
            kinds.setdefault(problem.name, set()).add(problem.kind)
    return sorted(
        (case for case in result.pairs if kinds.get(case.name, set()) <= _COMPARABLE), key=lambda case: case.name
    )


def check_masks(result: CheckResult, segment: Segment, sample: int | None = SAMPLE, seed: int = 0) -> MaskComparison:
    """Compare masks of a checked data set with the lungs that a network finds.

    Args:
        result: the checked data set.
        segment: segments a radiograph.
        sample: the number of masks to compare, drawn at random; None for all.
        seed: of the sample.
    """
    cases = comparable(result)
    if sample is not None and sample < len(cases):
        cases = sorted(random.Random(seed).sample(cases, sample), key=lambda case: case.name)
    compared: list[Compared] = []
    doubtful = 0
    for case in cases:
        try:
            found = _compare(case, segment)
        except LungsegError:
            # It could be read before, or is one of the problems that are listed.
            continue
        doubtful += found is None
        compared += [] if found is None else [found]
    others = _Others(result, segment)
    return MaskComparison(
        compared=len(compared),
        pairs=len(result.pairs),
        doubtful=doubtful,
        seed=seed,
        dice=float(np.mean([one.dice for one in compared])) if compared else None,
        findings=findings(compared, others.next_to),
    )


def _compare(case: Case, segment: Segment) -> Compared | None:
    """Return a mask with the lungs of its image; None if the network's result is doubtful."""
    radiograph = read_radiograph(case.image)
    height, width = radiograph.pixels.shape
    mask, swapped = _read_mask(case)
    found = segment(_reduced(radiograph))
    if found.doubts:
        return None
    ratio = mask.shape[1] / mask.shape[0] / (width / height)
    turned = mask.shape[1] / mask.shape[0] / (height / width)
    upright, across = (abs(np.log(one)) < _SAME_ASPECT for one in (ratio, turned))
    if not (upright or across):
        return None
    return Compared(
        name=case.name,
        file=case.files[0],
        mask=on_grid(mask),
        lungs=_lungs(found),
        size=(width, height),
        upright=bool(upright),
        swapped=swapped and "mirrored" not in found.notes,
    )


def _read_mask(case: Case) -> tuple[Mask, bool]:
    """Return the union of the lungs (H, W), and whether right and left are exchanged, whatever is wrong with the sides.

    Raises:
        MaskError: the reference cannot be used for another reason.
    """
    try:
        label = read_label(case.label, case.labels)
    except MaskError as error:
        if error.lungs is None:
            raise
        return error.lungs, False
    return (label.labels != 0) & (label.labels != NOT_STATED), label.union_reason == SWAPPED


def _reduced(radiograph: Radiograph) -> Radiograph:
    """Return a radiograph with fewer pixels, which takes less time and gives the same lungs on the grid."""
    height, width = radiograph.pixels.shape
    scale = _SHORTER_SIDE / min(height, width)
    if scale >= 1:
        return replace(radiograph, source=None)
    size = round(width * scale), round(height * scale)
    picture = Image.fromarray(radiograph.pixels.astype(np.float32)).resize(size, Image.Resampling.BOX)
    return replace(radiograph, pixels=np.array(picture), spacing=None, spacing_kind="unknown", source=None)


def _lungs(found: Found) -> tuple[Mask, ...]:
    """Return the lungs to each extent that the network knows: masks may show either."""
    extents = ("visible", "full") if found.knows_heart else ("visible",)
    return tuple(on_grid(found.label_map(extent) > 0) for extent in extents)


class _Others:
    """The images next to an image, in the order of their names, whose masks may have been mixed up with its own."""

    def __init__(self, result: CheckResult, segment: Segment) -> None:
        self.images = sorted([*(case.image for case in result.pairs), *result.images_without_mask])
        places = {path: place for place, path in enumerate(self.images)}
        self.places = {case.name: places[case.image] for case in result.pairs}
        self.segment = segment
        self.searched = 0

    def next_to(self, name: str) -> dict[str, tuple[Mask, ...]]:
        """Return the lungs of the images before and after the image of a case, by their files' names.

        Images whose result is doubtful, or that cannot be read, are left out, and all of them after some calls.
        """
        self.searched += 1
        place = self.places[name]
        near = [*self.images[max(0, place - 1) : place], *self.images[place + 1 : place + 2]]
        found = {path.name: self._lungs(path) for path in near if self.searched <= _SEARCHED}
        return {path: lungs for path, lungs in found.items() if lungs}

    def _lungs(self, path: Path) -> tuple[Mask, ...]:
        try:
            found = self.segment(_reduced(read_radiograph(path)))
        except LungsegError:
            return ()
        return () if found.doubts else _lungs(found)
