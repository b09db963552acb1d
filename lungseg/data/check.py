# SPDX-License-Identifier: Apache-2.0
"""A data set is read once from end to end, and everything that is wrong with it is told."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from monai.bundle import ConfigParser

from lungseg.data.datalist import datalist
from lungseg.data.labels import MaskError, read_label
from lungseg.data.layouts import Layout, find_data
from lungseg.data.pairing import Case, case_name, suffix_option
from lungseg.data.problems import (
    DUPLICATE_IMAGE,
    LATERALITY_IMPLAUSIBLE,
    MASK_WITHOUT_IMAGE,
    SIZE_MISMATCH,
    UNREADABLE,
    Problem,
)
from lungseg.data.splits import set_of
from lungseg.io import read_radiograph
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.text import escape_control, shorten_list

_log = logging.getLogger(__name__)

_NAMES_SHOWN = 3
_THREADS = 4


@dataclass(frozen=True)
class CheckResult:
    """What a data set holds.

    Attributes:
        folder: the data set's folder.
        layout: the name of its layout.
        images_folder: where the images lie.
        images, masks: how many files there are of each (two masks per case where the lungs are apart).
        pairs: the images that have a reference, usable or not.
        images_without_mask, masks_without_image: the files that found no partner.
        problems: everything that is wrong, sorted by file.
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

    @property
    def excluded_cases(self) -> list[str]:
        """The names of the cases that cannot be used."""
        return sorted({problem.name for problem in self.problems if problem.left_out})

    @property
    def union_only(self) -> list[str]:
        """The names of the cases whose sides are not believed."""
        return [problem.name for problem in self.problems if problem.kind == LATERALITY_IMPLAUSIBLE]

    def check_usable(self) -> None:
        """Raise LungsegError when no pair can be used."""
        if not self.pairs:
            option = suffix_option(self.images_without_mask, self.masks_without_image)
            remedy = f"give {option}" if option else "name each mask as its image"
            raise LungsegError("no image has a mask", self.folder, remedy)
        if {case.name for case in self.pairs} <= set(self.excluded_cases):
            what = f"none of the {len(self.pairs)} pairs of image and mask can be used"
            raise LungsegError(what, self.folder, "mend what is listed above")

    def __str__(self) -> str:
        """Return the findings as lines for a terminal."""
        lines = [
            f"{self.folder} ({self.layout})",
            f"{self.images:6} images",
            f"{self.masks:6} masks",
            f"{len(self.pairs):6} pairs",
            f"{len(self.images_without_mask):6} images without a mask{_some(self.images_without_mask)}",
            f"{len(self.masks_without_image):6} masks without an image{_some(self.masks_without_image)}",
            f"{len(self.problems):6} problems" + (":" if self.problems else ""),
        ]
        for problem in self.problems:
            consequence = " [unusable]" if problem.left_out else ""
            lines.append(
                f"  {escape_control(problem.file)}: {problem.kind}: {escape_control(problem.sentence)}{consequence}"
            )
        return "\n".join(lines)


def check_data(layout: Layout) -> CheckResult:
    """Pair and read every image and every mask of a data set that `find_data` found.

    Raises:
        UsageError: there is no image in it.
    """
    pairing = layout.pair()
    if not pairing.images:
        raise UsageError("there is no image in this folder", layout.images, "check the path of the data set")
    problems = list(pairing.problems)
    digests = {}
    partnerless = [(case_name(path, layout.images), path, None) for path in pairing.images_without_mask]
    everything = [(case.name, case.image, case) for case in pairing.pairs] + partnerless
    # Decoding a PNG leaves the interpreter to other threads.
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        for (name, path, _), (digest, found) in zip(everything, pool.map(_check, everything), strict=True):
            problems += found
            if digest is not None:
                problems += _same_pixels(digests.setdefault(digest, path), path, name)
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
    )


def _check(item: tuple[str, Path, Case | None]) -> tuple[bytes | None, list[Problem]]:
    """Return the digest of an image's pixels (None where they cannot be read) and what is wrong."""
    name, path, case = item
    try:
        pixels = read_radiograph(path).pixels
    except LungsegError as error:
        return None, [Problem(path, UNREADABLE, _sentence(error), True, name)]
    digest = hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16).digest()
    return digest, [] if case is None else _check_label(case, pixels.shape)


def _check_label(case: Case, shape: tuple[int, int]) -> list[Problem]:
    file = case.label[0] if isinstance(case.label, tuple) else case.label
    try:
        label = read_label(case.label)
    except MaskError as error:
        return [Problem(Path(error.where or file), error.kind, _sentence(error), True, case.name)]
    if label.labels.shape != shape:
        (mask_height, mask_width), (height, width) = label.labels.shape, shape
        sentence = f"the mask has {mask_width} x {mask_height} pixels, the image {width} x {height}"
        remedy = "resize the mask without smoothing, or draw it again"
        return [Problem(file, SIZE_MISMATCH, f"{sentence}; {remedy}", True, case.name)]
    if label.union_reason:
        sentence = f"{label.union_reason}; only the union of the lungs is used"
        return [Problem(file, LATERALITY_IMPLAUSIBLE, sentence, False, case.name)]
    return []


def _sentence(error: LungsegError) -> str:
    return f"{error.what}; {error.remedy}" if error.remedy else error.what


def _same_pixels(first: Path, path: Path, name: str) -> list[Problem]:
    if first == path:
        return []
    sentence = f"it has the same pixels as {first.name}, so that both could land in training and test"
    return [Problem(path, DUPLICATE_IMAGE, sentence, False, name)]


def _some(paths: list[Path]) -> str:
    return f": {shorten_list([path.name for path in paths], _NAMES_SHOWN)}" if paths else ""


_SHOWN = 10


def unusable_cases(sections: Sequence[str], **source) -> list[str]:
    """Read the images and references of some sections, and return the names of the cases that cannot be used.

    The files are read once more than training or evaluating alone would: a second for 75 radiographs of 512 x 512.

    Args:
        sections: see :func:`lungseg.data.datalist`, as for the other arguments.
        **source: the other arguments of `datalist`.

    Raises:
        UsageError: there is no data set, or a section or a set is unknown.
        LungsegError: there are several data sets, or a section is empty.
    """
    sets = [source["sets"]] if isinstance(source.get("sets"), str) else source.get("sets")
    where = {key: source[key] for key in ("dataset_dir", "images", "masks", "mask_suffix") if key in source}
    layout = find_data(**where)
    pairing = layout.pair()
    names = {case["name"] for section in sections for case in datalist(section=section, **source)}
    cases = [case for case in pairing.pairs if case.name in names]
    result = check_data(replace(layout, pair=lambda: replace(pairing, pairs=cases, images_without_mask=[])))

    unused = [problem for problem in result.problems if problem.left_out]
    for problem in unused[:_SHOWN]:
        _log.info("Not used: %s: %s: %s", escape_control(problem.file), problem.kind, escape_control(problem.sentence))
    if len(unused) > _SHOWN:
        _log.info("Not used: %d more files; lungseg check-data names them", len(unused) - _SHOWN)
    for problem in [problem for problem in result.problems if problem.kind == DUPLICATE_IMAGE][:_SHOWN]:
        _log.info(
            "Used nevertheless: %s: %s: %s",
            escape_control(problem.file),
            problem.kind,
            escape_control(problem.sentence),
        )
    without = [path.name for path in pairing.images_without_mask if not sets or set_of(path.stem) in sets]
    if without:
        _log.info("Not used: images without a mask: %s", shorten_list(without, _SHOWN))
    if result.union_only:
        _log.info(
            "Left and right are implausible, the lungs' union is used: %s", shorten_list(result.union_only, _SHOWN)
        )
    return sorted({problem.name for problem in unused if problem.kind != MASK_WITHOUT_IMAGE} & names)


def check_has_lateral_labels(cases: Sequence[dict]) -> None:
    """Refuse references of which none tells right from left: figures per lung, by which weights are chosen, need one.

    Args:
        cases: as :func:`lungseg.data.datalist` returns them.

    Raises:
        LungsegError: there is none.
    """
    for case in cases:
        reason = read_label(case["label"]).union_reason
        if reason is None:
            return
    remedy = "give label maps, with 1 for the patient's right lung, or a mask for each lung"
    raise LungsegError(
        f"no reference of the validation list tells right from left (here {reason})", case["name"], remedy
    )


def excluded_cases(config: dict, sections: Sequence[str]) -> list[str]:
    """Return the names of the cases that a config should leave out of some sections, and tell why.

    Those that its `data_source` leaves out already are among them.

    Raises:
        LungsegError: there is no data set, or a section is empty.
    """
    source = ConfigParser(config).get_parsed_content("data_source")
    return sorted({*source["exclude"], *unusable_cases(sections, **source)})
