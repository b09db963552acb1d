# SPDX-License-Identifier: Apache-2.0
"""The findings of a check of a data set, and how they are said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lungseg.data.exchanged import is_swapped
from lungseg.data.naming import Naming
from lungseg.data.pairing import Case, naming_option
from lungseg.data.problems import LATERALITY_IMPLAUSIBLE, Problem
from lungseg.utils.errors import LungsegError
from lungseg.utils.text import escape_control, shorten_list

_NAMES_SHOWN = 3

# Width and height in pixels.
Size = tuple[int, int]


@dataclass(frozen=True)
class CheckResult:
    """The contents of a data set and its problems.

    Attributes:
        folder: the data set's folder.
        layout: the name of its layout.
        images_folder: the folder of the images.
        images, masks: number of files (two masks per case if each lung has a mask of its own).
        pairs: the images that have a reference, usable or not.
        images_without_mask, masks_without_image: the files without a partner.
        problems: all problems, sorted by file.
        resized: the sizes (width, height) of the mask and of the image of each case whose sizes differ, by name: the
            mask is used, brought to the image's size.
        naming: the rule by which the names of images and masks were matched.
        values: the values of masks that were refused for them, with the number of files that have each; or nothing.
        labels_option: option that would make such masks usable, or that exchanges right and left; empty if none would.
        exchanged: sentence about right and left, if they are exchanged in most of the references.
    """

    folder: Path
    layout: str
    images_folder: Path
    images: int
    masks: int
    pairs: list[Case]
    images_without_mask: list[Path]
    masks_without_image: list[Path]
    problems: list[Problem]
    resized: dict[str, tuple[Size, Size]] = field(default_factory=dict)
    naming: Naming = field(default_factory=Naming)
    values: str = ""
    labels_option: str = ""
    exchanged: str = ""

    @property
    def naming_option(self) -> str:
        """The options of the command by which masks would find their images, if none does."""
        return "" if self.pairs else naming_option(self.images_without_mask, self.masks_without_image)

    @property
    def excluded_cases(self) -> list[str]:
        """The names of the cases that cannot be used."""
        return sorted({problem.name for problem in self.problems if problem.excluded})

    @property
    def union_only(self) -> list[str]:
        """The names of the cases that use only the union of the lungs."""
        return self.used_with(LATERALITY_IMPLAUSIBLE)

    def used_with(self, kind: str) -> list[str]:
        """Return the names of the cases that are used, although they have a problem of a kind."""
        return [problem.name for problem in self.problems if problem.kind == kind and not problem.excluded]

    def check_usable(self) -> None:
        """Check that a pair can be used.

        Raises:
            LungsegError: no image has a mask, or none of the pairs can be used.
        """
        if not self.pairs:
            remedy = f"give {self.naming_option}" if self.naming_option else "name each mask as its image"
            raise LungsegError("no image has a mask", self.folder, remedy, code="no-pairs")
        if {case.name for case in self.pairs} <= set(self.excluded_cases):
            what = f"none of the {len(self.pairs)} pairs of image and mask can be used"
            remedy = f"give {self.labels_option}" if self.labels_option else "fix the problems listed above"
            raise LungsegError(what, self.folder, remedy, code="no-usable-cases")

    def __str__(self) -> str:
        """Return the findings as lines for a terminal."""
        lines = [
            f"{self.folder} ({self.layout}{_named(self.naming)})",
            f"{self.images:6} images",
            f"{self.masks:6} masks",
            f"{len(self.pairs):6} pairs",
            f"{len(self.images_without_mask):6} images without a mask{_some(self.images_without_mask)}",
            f"{len(self.masks_without_image):6} masks without an image{_some(self.masks_without_image)}",
            *([f"{len(self.resized):6} {describe_sizes(self.resized)}"] if self.resized else []),
            f"{len(self.problems):6} problems" + (":" if self.problems else ""),
        ]
        if self.exchanged:
            lines.append(f"  {escape_control(self.folder)}: {LATERALITY_IMPLAUSIBLE}: {self.exchanged}")
        for problem in self.problems:
            if self.exchanged and is_swapped(problem):
                continue
            consequence = " [unusable]" if problem.excluded else ""
            lines.append(f"  {describe_problem(problem)}{consequence}")
        if self.values:
            lines.append(f"Values of the masks that were refused: {self.values}")
        return "\n".join(lines)


def describe_sizes(resized: Mapping[str, tuple[Size, Size]]) -> str:
    """Return the rest of a sentence after the number of the masks, with the most frequent pair of sizes."""
    (mask, image), _ = Counter(resized.values()).most_common(1)[0]
    sizes = f"{mask[0]} x {mask[1]} for {image[0]} x {image[1]} pixels"
    return f"masks have another size than their image ({sizes}); they are used, resized by nearest neighbour"


def _named(naming: Naming) -> str:
    """Return the options that a data set needed, for the line that names its layout."""
    return f"; names: {naming.options()}" if naming.options() else ""


def describe_problem(problem: Problem) -> str:
    """Return a problem as a line: its file, kind and sentence."""
    return f"{escape_control(problem.file)}: {problem.kind}: {escape_control(problem.sentence)}"


def _some(paths: list[Path]) -> str:
    return f": {shorten_list([path.name for path in paths], _NAMES_SHOWN)}" if paths else ""
