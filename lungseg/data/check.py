# SPDX-License-Identifier: Apache-2.0
"""Read a whole data set once, and report every problem."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from monai.bundle import ConfigParser

from lungseg.data.check_result import CheckResult, Size, describe_problem, describe_sizes
from lungseg.data.exchanged import describe_exchange, exchanged_option
from lungseg.data.label_files import read_label, read_values
from lungseg.data.labels import SWAPPED, MaskError
from lungseg.data.layouts import Layout, find_data
from lungseg.data.lists import datalist
from lungseg.data.pairing import Case, case_name
from lungseg.data.problems import (
    DUPLICATE_IMAGE,
    INVERTED_MASK,
    LATERALITY_IMPLAUSIBLE,
    MASK_WITHOUT_IMAGE,
    NOT_A_MASK,
    NOT_SIDE_BY_SIDE,
    ONE_LUNG,
    UNREADABLE,
    Problem,
)
from lungseg.data.sizes import check_aspect
from lungseg.data.sources import read_sources
from lungseg.data.unknown_values import describe, look_at, propose
from lungseg.io import read_radiograph
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.text import shorten_list

logger = logging.getLogger(__name__)

_SHOWN = 10
_THREADS = 4
# Problems of references that are used, or used in part.
_USED_BUT = {
    LATERALITY_IMPLAUSIBLE: "Left and right are implausible, only the union of the lungs is used",
    ONE_LUNG: "Only one lung is drawn, the other one counts as absent",
    NOT_SIDE_BY_SIDE: "The lungs do not lie side by side, their sides are used as they are drawn",
}
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
    if label.remark:
        problem = Problem(case.files[0], label.remark.kind, label.remark.sentence, False, case.name)
        return _Found([problem], sizes=sizes)
    return _Found([], sizes=sizes)


def _size(shape: tuple[int, ...]) -> Size:
    height, width = shape
    return width, height


def _sentence(error: LungsegError) -> str:
    return f"{error.what}; {error.remedy}" if error.remedy else error.what


def _same_pixels(first: Path, path: Path, name: str) -> list[Problem]:
    if first == path:
        return []
    sentence = f"it has the same pixels as {first.name}: one could be in training and the other in test"
    return [Problem(path, DUPLICATE_IMAGE, sentence, False, name)]


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
        logger.info("%d %s", len(result.resized), describe_sizes(result.resized))
    unused = [problem for problem in result.problems if problem.excluded]
    for problem in unused[:_SHOWN]:
        logger.warning("Not used: %s", describe_problem(problem))
    if len(unused) > _SHOWN:
        logger.warning("Not used: %d more files; lungseg check-data lists them", len(unused) - _SHOWN)
    for problem in [problem for problem in result.problems if problem.kind == DUPLICATE_IMAGE][:_SHOWN]:
        logger.warning("Used, with a problem: %s", describe_problem(problem))
    without = [path.name for path in pairing.images_without_mask if not sets or layout.is_in(path.stem, sets)]
    if without:
        logger.warning("Not used: images without a mask: %s", shorten_list(without, _SHOWN))
    for kind, said in _USED_BUT.items():
        if named := result.used_with(kind):
            logger.warning("%s: %s", said, shorten_list(named, _SHOWN))
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
    if reason == SWAPPED:
        remedy = "exchange right and left in them: the patient's right lung lies on the left of the picture"
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
