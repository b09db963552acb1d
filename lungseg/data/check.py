# SPDX-License-Identifier: Apache-2.0
"""Read a whole data set once, and report every problem."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from monai.bundle import ConfigParser

from lungseg.data.datalist import datalist
from lungseg.data.exchanged import describe_exchange, exchanged_option, is_swapped
from lungseg.data.labels import MaskError, read_label, read_values
from lungseg.data.layouts import Layout, find_data
from lungseg.data.naming import Naming
from lungseg.data.pairing import Case, case_name, naming_option
from lungseg.data.problems import (
    DUPLICATE_IMAGE,
    INVERTED_MASK,
    LATERALITY_IMPLAUSIBLE,
    MASK_WITHOUT_IMAGE,
    NOT_A_MASK,
    UNREADABLE,
    Problem,
)
from lungseg.data.sizes import check_aspect
from lungseg.data.sources import read_sources
from lungseg.data.splits import set_of
from lungseg.data.unknown_values import describe, look_at, propose
from lungseg.io import read_radiograph
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.text import escape_control, shorten_list

logger = logging.getLogger(__name__)

_NAMES_SHOWN = 3
_SHOWN = 10
_THREADS = 4
# Arguments of `datalist` that find the data set.
_WHERE = (
    "dataset_dir",
    "images",
    "masks",
    "labels",
    "mask_suffix",
    "mask_prefix",
    "image_suffix",
    "image_prefix",
)

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
        return [problem.name for problem in self.problems if problem.kind == LATERALITY_IMPLAUSIBLE]

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
            *([f"{len(self.resized):6} {_resizing(self.resized)}"] if self.resized else []),
            f"{len(self.problems):6} problems" + (":" if self.problems else ""),
        ]
        if self.exchanged:
            lines.append(f"  {escape_control(self.folder)}: {LATERALITY_IMPLAUSIBLE}: {self.exchanged}")
        for problem in self.problems:
            if self.exchanged and is_swapped(problem):
                continue
            consequence = " [unusable]" if problem.excluded else ""
            lines.append(f"  {_described(problem)}{consequence}")
        if self.values:
            lines.append(f"Values of the masks that were refused: {self.values}")
        return "\n".join(lines)


def check_data(layout: Layout) -> CheckResult:
    """Pair and read every image and every mask of a data set that `find_data` found.

    Args:
        layout: the data set.

    Raises:
        UsageError: the folder holds no image.
    """
    pairing = layout.pair()
    if not pairing.images:
        remedy = "check the path of the data set"
        raise UsageError("there is no image in this folder", layout.images, remedy, code="no-pictures")
    problems = list(pairing.problems)
    digests: dict[bytes, Path] = {}
    resized: dict[str, tuple[Size, Size]] = {}
    items: list[tuple[str, Path, Case | None]] = [(case.name, case.image, case) for case in pairing.pairs]
    items += [(case_name(path, layout.images), path, None) for path in pairing.images_without_mask]
    # Decoding a PNG releases the interpreter lock.
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        for (name, path, _), found in zip(items, pool.map(_check, items), strict=True):
            problems += found.problems
            if found.sizes:
                resized[name] = found.sizes
            if found.digest is not None:
                problems += _same_pixels(digests.setdefault(found.digest, path), path, name)
        refused = {problem.name for problem in problems if problem.kind in (NOT_A_MASK, INVERTED_MASK)}
        seen = list(pool.map(look_at, [case.files[0] for case in pairing.pairs if case.name in refused]))
    exchange = exchanged_option(problems, pairing.pairs, layout.labels)
    return CheckResult(
        folder=layout.folder,
        layout=layout.kind,
        images_folder=layout.images,
        images=pairing.images,
        masks=pairing.masks,
        pairs=pairing.pairs,
        images_without_mask=pairing.images_without_mask,
        masks_without_image=pairing.masks_without_image,
        problems=sorted(problems, key=lambda problem: (problem.file, problem.kind)),
        resized=resized,
        naming=pairing.naming,
        values=describe(seen),
        labels_option=exchange or propose(seen),
        exchanged="" if exchange is None else describe_exchange(problems, pairing.pairs, exchange),
    )


class _Found(NamedTuple):
    """The findings of one case.

    Attributes:
        problems: of its files.
        digest: of the pixels of its image; None if they cannot be read.
        sizes: of mask and image, if the mask is used although they differ.
    """

    problems: list[Problem]
    digest: bytes | None = None
    sizes: tuple[Size, Size] | None = None


def _check(item: tuple[str, Path, Case | None]) -> _Found:
    name, path, case = item
    try:
        pixels = read_radiograph(path).pixels
    except LungsegError as error:
        return _Found([Problem(path, UNREADABLE, _sentence(error), True, name)])
    digest = hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16).digest()
    found = _Found([]) if case is None else _check_label(case, pixels.shape)
    return found._replace(digest=digest)


def _check_label(case: Case, shape: tuple[int, ...]) -> _Found:
    file = case.files[0]
    try:
        label = read_label(case.label, case.labels)
        check_aspect(label.labels.shape, shape)
        if case.heart is not None:
            file = case.heart
            check_aspect(read_values(file).shape, shape)
    except MaskError as error:
        return _Found([Problem(Path(error.where or file), error.code, _sentence(error), True, case.name)])
    sizes = None if label.labels.shape == shape else (_size(label.labels.shape), _size(shape))
    if label.union_reason:
        sentence = f"{label.union_reason}; only the union of the lungs is used"
        return _Found([Problem(case.files[0], LATERALITY_IMPLAUSIBLE, sentence, False, case.name)], sizes=sizes)
    return _Found([], sizes=sizes)


def _size(shape: tuple[int, ...]) -> Size:
    height, width = shape
    return width, height


def _resizing(resized: Mapping[str, tuple[Size, Size]]) -> str:
    """Return the rest of a sentence after the number of the masks, with the most frequent pair of sizes."""
    (mask, image), _ = Counter(resized.values()).most_common(1)[0]
    sizes = f"{mask[0]} x {mask[1]} for {image[0]} x {image[1]} pixels"
    return f"masks have another size than their image ({sizes}); they are used, resized by nearest neighbour"


def _named(naming: Naming) -> str:
    """Return the options that a data set needed, for the line that names its layout."""
    return f"; names: {naming.options()}" if naming.options() else ""


def _described(problem: Problem) -> str:
    return f"{escape_control(problem.file)}: {problem.kind}: {escape_control(problem.sentence)}"


def _sentence(error: LungsegError) -> str:
    return f"{error.what}; {error.remedy}" if error.remedy else error.what


def _same_pixels(first: Path, path: Path, name: str) -> list[Problem]:
    if first == path:
        return []
    sentence = f"it has the same pixels as {first.name}: one could be in training and the other in test"
    return [Problem(path, DUPLICATE_IMAGE, sentence, False, name)]


def _some(paths: list[Path]) -> str:
    return f": {shorten_list([path.name for path in paths], _NAMES_SHOWN)}" if paths else ""


def unusable_cases(sections: Sequence[str], **source: Any) -> list[str]:
    """Read the images and references of some sections, and return the names of the cases that cannot be used.

    Each file that is not used, or used only in part, is logged. Reading takes a second for 75 radiographs of 512 x 512.

    Args:
        sections: see :func:`lungseg.data.datalist`.
        **source: the other arguments of `datalist`.

    Raises:
        UsageError: there is no data set, or a section or a set is unknown.
        LungsegError: there are several data sets, or a section is empty.
    """
    names = {case["name"] for section in sections for case in datalist(section=section, **source)}
    if described := source.get("sources"):
        found = [_unusable(one.layout(), names, None) for one in read_sources(described, source.get("dataset_dir"))]
        return sorted(chain.from_iterable(found))
    sets = [source["sets"]] if isinstance(source.get("sets"), str) else source.get("sets")
    where = {key: source[key] for key in _WHERE if key in source}
    return _unusable(find_data(**where), names, sets)


def _unusable(layout: Layout, names: set[str], sets: Sequence[str] | None) -> list[str]:
    """Read the cases called `names` of one data set; see `unusable_cases`."""
    pairing = layout.pair()
    cases = [case for case in pairing.pairs if case.name in names]
    if not cases:
        return []
    kept = replace(layout, pair=lambda: replace(pairing, pairs=cases, images_without_mask=[]))
    result = check_data(kept)
    if result.resized:
        logger.info("%d %s", len(result.resized), _resizing(result.resized))
    unused = [problem for problem in result.problems if problem.excluded]
    for problem in unused[:_SHOWN]:
        logger.warning("Not used: %s", _described(problem))
    if len(unused) > _SHOWN:
        logger.warning("Not used: %d more files; lungseg check-data lists them", len(unused) - _SHOWN)
    for problem in [problem for problem in result.problems if problem.kind == DUPLICATE_IMAGE][:_SHOWN]:
        logger.warning("Used, with a problem: %s", _described(problem))
    without = [path.name for path in pairing.images_without_mask if not sets or set_of(path.stem) in sets]
    if without:
        logger.warning("Not used: images without a mask: %s", shorten_list(without, _SHOWN))
    if result.union_only:
        names_shown = shorten_list(result.union_only, _SHOWN)
        logger.warning("Left and right are implausible, only the union of the lungs is used: %s", names_shown)
    return sorted({problem.name for problem in unused if problem.kind != MASK_WITHOUT_IMAGE} & names)


def check_has_lateral_labels(cases: Sequence[Mapping[str, Any]]) -> None:
    """Check that a reference separates right from left: the IoU of each lung selects the best weights.

    Args:
        cases: as :func:`lungseg.data.datalist` returns them.

    Raises:
        LungsegError: no reference does.
    """
    reason = None
    for case in cases:
        if case.get("extent", "visible") != "visible":
            continue
        reason = read_label(case["label"], case.get("labels")).union_reason
        if reason is None:
            return
    remedy = "give label maps, with 1 for the patient's right lung, or a mask for each lung"
    what = f"no reference of the validation list separates right from left (here {reason})"
    raise LungsegError(what, case["name"], remedy, code="laterality-unknown")


def excluded_cases(config: dict[str, Any], sections: Sequence[str]) -> list[str]:
    """Return the names of the cases that a config should exclude from some sections, and log the reasons.

    The cases that its `data_source` already excludes are among them.

    Raises:
        LungsegError: there is no data set, or a section is empty.
    """
    source = ConfigParser(config).get_parsed_content("data_source")
    return sorted({*source["exclude"], *unusable_cases(sections, **source)})
