# SPDX-License-Identifier: Apache-2.0
"""Build the lists of {"image", "label"} that the bundle's configs load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

from lungseg.data.layouts import find_data
from lungseg.data.naming import MASK_SUFFIX
from lungseg.data.pairing import Case, naming_option
from lungseg.data.sources import Source, read_sources
from lungseg.data.split_tables import is_table, resolve_names
from lungseg.data.splits import (
    SECTIONS,
    Split,
    check_patients_together,
    is_frozen,
    read_split,
    split,
    write_split,
)
from lungseg.utils.errors import LungsegError, UsageError


def datalist(
    dataset_dir: str | PathLike[str] | None,
    section: str,
    sets: Sequence[str] | None = None,
    splits_file: str | PathLike[str] | None = None,
    seed: int = 0,
    patients: str | PathLike[str] | None = None,
    images: str | PathLike[str] | None = None,
    masks: str | PathLike[str] | None = None,
    mask_suffix: str = MASK_SUFFIX,
    exclude: Sequence[str] = (),
    run_splits: str | PathLike[str] | None = None,
    extent: str = "visible",
    sources: Sequence[Mapping[str, Any]] | None = None,
    labels: str | None = None,
    mask_prefix: str = "",
    image_suffix: str = "",
    image_prefix: str = "",
) -> list[dict[str, Any]]:
    """Return the cases of one section, sorted by name; the order of the files does not matter.

    Args:
        dataset_dir: the folder of a data set, or one that holds it.
        section: "train", "validation", "test", or "all" pairs.
        sets: return only cases of these data sets: "montgomery", "shenzhen", "other" (all but these two). All sets are
            split.
        splits_file: JSON or CSV file with the split. If it does not exist it is written, and later calls read it.
        seed: seed of the split of cases that are not in the frozen lists.
        patients: rule for the patient, a regular expression or a CSV file; see `patients.patient_rule`.
        images, masks: two folders instead of `dataset_dir` (None).
        mask_suffix, mask_prefix, image_suffix, image_prefix: how names differ; see `layouts.find_data`.
        exclude: names of cases to exclude, such as those that `unusable_cases` returns; this changes the section of no
            other case.
        run_splits: the lists of a run, if no `splits_file` is given: its cases keep their section, and the data set may
            have further cases.
        extent: what the masks show: the "visible" lungs, or the lungs to their "full" extent, behind the heart too.
        sources: several sources in `dataset_dir` instead of one data set, see :class:`lungseg.data.sources.Source`.
        labels: what the values of the masks stand for, see :func:`lungseg.data.label_values.parse_labels`.

    Returns:
        A list of {"image": path, "label": path or [right lung, left lung], "name": name, "set": data set, see
        :meth:`lungseg.data.layouts.Layout.set_of`, or source, "extent": extent, "share": of a batch that the case's
        source has, over its cases}, with "heart" (path) and "labels" where they are stated.

    Raises:
        UsageError: there is no data set, or a section, a set, or an item of a source is unknown.
        LungsegError: there are several data sets, or no pair, or the section is empty.
    """
    if section not in (*SECTIONS, "all"):
        remedy = f"choose {', '.join(SECTIONS)} or all"
        raise UsageError(f"there is no section {section!r}", remedy=remedy, code="section-unknown")
    if sources:
        found = (
            _of_source(source, section, splits_file, seed, patients, exclude, run_splits)
            for source in read_sources(sources, dataset_dir)
        )
        return _check_names(list(chain.from_iterable(found)), section)
    layout = find_data(dataset_dir, images, masks, mask_suffix, labels, mask_prefix, image_suffix, image_prefix)
    pairing = layout.pair()
    pairs = pairing.pairs
    chosen = None if sets is None else [sets] if isinstance(sets, str) else list(sets)
    cases = wanted = [case for case in pairs if chosen is None or layout.is_in(case.name, chosen)]
    if not pairs and (option := naming_option(pairing.images_without_mask, pairing.masks_without_image)):
        raise LungsegError("no image has a mask", layout.folder, f"give {option}", code="no-pairs")
    if not wanted:
        of_sets = f" of {', '.join(chosen)}" if chosen else ""
        remedy = "check it with lungseg check-data"
        raise LungsegError(f"no image{of_sets} has a mask", layout.folder, remedy, code="no-pairs")
    if section != "all":
        # All pairs are split, so that the choice of sets moves no case from test to training.
        members = set(_sections(_names(pairs), _names(wanted), splits_file, run_splits, seed, patients)[section])
        cases = [case for case in wanted if case.name in members]
        if not cases:
            lists = splits_file or run_splits
            remedy = "take another section, such as validation" if lists else "give more pairs, or a splits file"
            raise LungsegError(_describe_empty(section, wanted, lists), layout.folder, remedy, code="section-empty")
    # After the split, so that excluding a case moves no other case from test to training.
    cases = [case for case in cases if case.name not in exclude]
    if not cases:
        what = f"every case of the section {section} is excluded"
        remedy = "correct their masks; lungseg check-data lists the problems"
        raise LungsegError(what, layout.folder, remedy, code="section-empty")
    return [_item(case, layout.set_of(case.name), extent, 1 / len(cases)) for case in cases]


def _item(case: Case, set_name: str, extent: str, share: float) -> dict[str, Any]:
    item = {
        "image": str(case.image),
        "label": [str(p) for p in case.label] if isinstance(case.label, tuple) else str(case.label),
        "name": case.name,
        "set": set_name,
        "extent": extent,
        "share": share,
    }
    stated = {"heart": None if case.heart is None else str(case.heart), "labels": case.labels}
    return item | {name: value for name, value in stated.items() if value is not None}


def _of_source(
    source: Source,
    section: str,
    splits_file: str | PathLike[str] | None,
    seed: int,
    patients: str | PathLike[str] | None,
    exclude: Sequence[str],
    run_splits: str | PathLike[str] | None,
) -> list[dict[str, Any]]:
    """Return the cases of one section of a source, which may be none."""
    cases = source.layout().pair().pairs
    if section != "all":
        names = _names(cases)
        lists = source.lists() or _sections(names, names, splits_file, run_splits, seed, patients)
        cases = [case for case in cases if case.name in lists[section]]
    cases = [case for case in cases if case.name not in exclude]
    return [_item(case, source.name, source.extent, source.share / len(cases)) for case in cases]


def _check_names(cases: list[dict[str, Any]], section: str) -> list[dict[str, Any]]:
    if not cases:
        what = f"no source has a case in the section {section}"
        raise LungsegError(what, remedy="check their folders and tables", code="section-empty")
    names = Counter(case["name"] for case in cases)
    if twice := [name for name, count in names.items() if count > 1]:
        what = f"two sources have a case named {twice[0]}"
        raise LungsegError(what, remedy="rename its files in one of them", code="name-in-several-sources")
    return cases


def _names(cases: list[Case]) -> set[str]:
    return {case.name for case in cases}


def _sections(
    names: set[str],
    wanted: set[str],
    splits_file: str | PathLike[str] | None,
    run_splits: str | PathLike[str] | None,
    seed: int,
    patients: str | PathLike[str] | None,
) -> Split:
    """Split all names, or read their split from a file that has every wanted name."""
    if splits_file is None:
        return split(names, seed, patients, None if run_splits is None else read_split(run_splits))
    if not Path(splits_file).exists():
        sections = split(names, seed, patients)
        write_split(splits_file, sections, seed)
        return sections
    sections = read_split(splits_file)
    if is_table(splits_file):
        sections = resolve_names(splits_file, sections, names)
    if patients is not None:
        check_patients_together(sections, patients)
    known = set(chain(*sections.values()))
    if new := sorted(wanted - known):
        raise LungsegError(
            f"{len(new)} cases are not in it, the first being {new[0]}",
            splits_file,
            "add them, or delete the file to have it written anew",
            code="split-outdated",
        )
    if missing := sorted(known - names):
        raise LungsegError(
            f"{len(missing)} of its cases are not in the data set, the first being {missing[0]}",
            splits_file,
            "restore them, or delete the file to have it written anew",
            code="split-outdated",
        )
    return sections


def _describe_empty(section: str, cases: list[Case], lists: str | PathLike[str] | None) -> str:
    pairs = "is 1 pair" if len(cases) == 1 else f"are {len(cases)} pairs"
    what = f"the section {section} is empty: there {pairs} of image and mask"
    if lists is not None:
        return f"{what}, and the lists in {lists} have none for it"
    if frozen := sum(is_frozen(case.name) for case in cases):
        what += f", and the published lists of Montgomery and Shenzhen put {frozen} of them elsewhere, by their names"
    return what
