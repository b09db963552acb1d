# SPDX-License-Identifier: Apache-2.0
"""The lists of {"image", "label"} that the bundle's configs load."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from os import PathLike
from pathlib import Path

from lungseg.data.layouts import find_data
from lungseg.data.pairing import MASK_SUFFIX, Case, suffix_option
from lungseg.data.splits import (
    SECTIONS,
    SETS,
    Split,
    check_patients_together,
    is_frozen,
    read_split,
    set_of,
    split,
    write_split,
)
from lungseg.utils.errors import LungsegError, UsageError


def datalist(
    dataset_dir: str | PathLike | None,
    section: str,
    sets: Sequence[str] | None = None,
    splits_file: str | PathLike | None = None,
    seed: int = 0,
    patients: str | PathLike | None = None,
    images: str | PathLike | None = None,
    masks: str | PathLike | None = None,
    mask_suffix: str = MASK_SUFFIX,
    exclude: Sequence[str] = (),
    run_splits: str | PathLike | None = None,
) -> list[dict]:
    """Return the cases of one section, sorted by name; the same for the same files, in whatever order.

    Args:
        dataset_dir: a data set's folder, or one that holds it.
        section: "train", "validation", "test", or "all" pairs.
        sets: keep these data sets only: "montgomery", "shenzhen", "other"; the others are split, too.
        splits_file: JSON file with the split. Where it is not there yet it is written, and later calls read it.
        seed: of the split of cases that the frozen lists do not name.
        patients: what tells a case's patient, a regular expression or a CSV file; see `splits.patient_rule`.
        images, masks, mask_suffix: two folders instead of `dataset_dir` (None); see `layouts.find_data`.
        exclude: names of cases to leave out, such as those that `unusable_cases` returns; no other case changes its
            section for it.
        run_splits: the lists of a run, where no `splits_file` is given: its cases keep their section, and the data set
            may have others.

    Returns:
        A list of {"image": path, "label": path or [right lung, left lung], "name": name, "set": data set}.

    Raises:
        UsageError: there is no data set, or a section or a set is unknown.
        LungsegError: there are several data sets, or no pair, or the section would be empty.
    """
    if section not in (*SECTIONS, "all"):
        raise UsageError(f"there is no section {section!r}", remedy=f"choose {', '.join(SECTIONS)} or all")
    layout = find_data(dataset_dir, images, masks, mask_suffix)
    pairing = layout.pair()
    pairs = pairing.pairs
    cases = wanted = _of_sets(pairs, sets)
    if not pairs and (option := suffix_option(pairing.images_without_mask, pairing.masks_without_image)):
        raise LungsegError("no image has a mask", layout.folder, f"give {option}")
    if not wanted:
        of_sets = f" of {', '.join([sets] if isinstance(sets, str) else sets)}" if sets else ""
        raise LungsegError(f"no image{of_sets} has a mask", layout.folder, "check it with lungseg check-data")
    if section != "all":
        # All pairs are split, so that the choice of sets moves no case from test to training.
        members = set(_sections(_names(pairs), _names(wanted), splits_file, run_splits, seed, patients)[section])
        cases = [case for case in wanted if case.name in members]
        if not cases:
            lists = splits_file or run_splits
            remedy = "take another section, such as validation" if lists else "give more pairs, or a splits file"
            raise LungsegError(_empty(section, wanted, lists), layout.folder, remedy)
    # After the split, so that a case that is left out today moves no other one from test to training.
    cases = [case for case in cases if case.name not in exclude]
    if not cases:
        what = f"every case of the section {section} is left out"
        raise LungsegError(what, layout.folder, "mend their masks; lungseg check-data says what is wrong")
    return [
        {
            "image": str(case.image),
            "label": [str(p) for p in case.label] if isinstance(case.label, tuple) else str(case.label),
            "name": case.name,
            "set": set_of(case.name),
        }
        for case in cases
    ]


def _of_sets(cases: list[Case], sets: Sequence[str] | None) -> list[Case]:
    if sets is None:
        return cases
    wanted = {sets} if isinstance(sets, str) else set(sets)
    if unknown := sorted(wanted - set(SETS)):
        raise UsageError(f"there is no data set {unknown[0]!r}", remedy=f"choose from {', '.join(SETS)}")
    return [case for case in cases if set_of(case.name) in wanted]


def _names(cases: list[Case]) -> set[str]:
    return {case.name for case in cases}


def _sections(names: set[str], wanted: set[str], splits_file, run_splits, seed: int, patients) -> Split:
    if splits_file is None:
        return split(names, seed, patients, None if run_splits is None else read_split(run_splits))
    if not Path(splits_file).exists():
        sections = split(names, seed, patients)
        write_split(splits_file, sections, seed)
        return sections
    sections = read_split(splits_file)
    if patients is not None:
        check_patients_together(sections, patients)
    known = set(chain(*sections.values()))
    if strangers := sorted(wanted - known):
        raise LungsegError(
            f"{len(strangers)} cases are not in it, the first being {strangers[0]}",
            splits_file,
            "add them, or delete the file to have it written anew",
        )
    if missing := sorted(known - names):
        raise LungsegError(
            f"{len(missing)} of its cases are not in the data set, the first being {missing[0]}",
            splits_file,
            "restore them, or delete the file to have it written anew",
        )
    return sections


def _empty(section: str, cases: list[Case], lists: str | PathLike | None) -> str:
    pairs = "is 1 pair" if len(cases) == 1 else f"are {len(cases)} pairs"
    what = f"the section {section} is empty: there {pairs} of image and mask"
    if lists is not None:
        return f"{what}, and the lists in {lists} have none for it"
    if frozen := sum(is_frozen(case.name) for case in cases):
        what += f", and the published lists of Montgomery and Shenzhen put {frozen} of them elsewhere, by their names"
    return what
