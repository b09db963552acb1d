# SPDX-License-Identifier: Apache-2.0
"""Split cases into train, validation and test: by frozen lists for the public sets, by a seeded rule for all others.

The frozen lists are those of Gaal et al. 2020 (arXiv 2003.10304).
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from os import PathLike
from pathlib import Path

from lungseg.data.folders import class_of, section_of
from lungseg.data.patients import file_stem, patient_rule
from lungseg.data.split_tables import is_table, read_table, write_table
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import atomic_path

SECTIONS = ("train", "validation", "test")
# All data sets but the two public ones.
OTHER = "other"
SETS = ("montgomery", "shenzhen", OTHER)
# File of the lists that a run used, in the folder of the run.
RUN_SPLITS = "splits.json"
# List of a run: cases that it did not use.
EXCLUDED = "excluded"
# List of a run: cases that its initial weights were trained on.
TRAINED_BEFORE = "trained_before"
_PREFIXES = {"MCUCXR_": "montgomery", "CHNCXR_": "shenzhen"}
_SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}

Split = dict[str, list[str]]


@cache
def frozen_splits() -> dict[str, Split]:
    """Return {"montgomery": {"train": [stems], "validation": ..., "test": ...}, "shenzhen": ...}."""
    folder = files("lungseg.data") / "splits"
    return {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in sorted(_PREFIXES.values())}


def set_of(name: str) -> str:
    """Return the data set of a case by its name: "montgomery", "shenzhen" or "other"."""
    return next((found for prefix, found in _PREFIXES.items() if file_stem(name).startswith(prefix)), OTHER)


def split(
    names: Iterable[str], seed: int = 0, patients: str | PathLike[str] | None = None, earlier: Split | None = None
) -> Split:
    """Split cases into about 70 % train, 10 % validation and 20 % test.

    Cases of an earlier split, and of the frozen lists, keep their section; without an earlier split, so do all cases of
    a data set with folders for train, validation and test. The others are drawn by a hash of seed and patient,
    stratified by data set and by class (names that end in _0 or _1, or a folder for each class), all images of a
    patient together; the order of the names does not matter, but a further name can move others.

    Args:
        names: the names of the cases.
        seed: seed of the hash.
        patients: rule for the patient; see `patient_rule`.
        earlier: an earlier split of the names.

    Raises:
        LungsegError: images of one patient are in several fixed sections, or the patient rule fails.
    """
    names = list(names)
    earlier = earlier or _by_folders(names)
    sections: Split = {section: [] for section in SECTIONS}
    kept = {name: section for section in SECTIONS for name in (earlier or {}).get(section, ())}
    frozen = _frozen_sections()
    free = []
    for patient, members in _by_patient(names, patients).items():
        fixed = (kept.get(name) or frozen.get(file_stem(name)) for name in members)
        taken = {section for section in fixed if section}
        if len(taken) > 1:
            lists = f"{'' if earlier else 'frozen '}lists {' and '.join(sorted(taken))}"
            what = f"images of one patient are in the {lists}"
            raise LungsegError(what, patient, "correct the patient rule", code="patient-in-several-lists")
        if taken:
            sections[taken.pop()] += members
        else:
            free.append((patient, members))
    shares = _shares(len(free))
    given = dict.fromkeys(SECTIONS, 0)
    for number, (_, members) in enumerate(_shuffled(free, seed), start=1):
        # The section that is furthest below its share; after the last patient every share is met exactly.
        behind = max(SECTIONS, key=lambda section: shares[section] * number / len(free) - given[section])
        given[behind] += 1
        sections[behind] += members
    return {section: sorted(members) for section, members in sections.items()}


def kfold(names: Iterable[str], k: int, seed: int = 0, patients: str | PathLike[str] | None = None) -> list[Split]:
    """Return k splits with an empty "test"; every case validates once, a patient's images together.

    Raises:
        UsageError: k is below two or above the number of patients.
    """
    groups = list(_by_patient(names, patients).items())
    if not 2 <= k <= len(groups):
        what = f"{len(groups)} patients cannot be split into {k} folds"
        raise UsageError(what, remedy=f"choose 2 to {len(groups)} folds", code="folds-out-of-range")
    folds: list[list[str]] = [[] for _ in range(k)]
    for number, (_, members) in enumerate(_shuffled(groups, seed)):
        folds[number % k] += members
    return [
        {
            "train": sorted(name for other in folds if other is not fold for name in other),
            "validation": sorted(fold),
            "test": [],
        }
        for fold in folds
    ]


def is_frozen(name: str) -> bool:
    """Return whether a case is in the frozen lists."""
    return file_stem(name) in _frozen_sections()


def check_patients_together(sections: Split, patients: str | PathLike[str]) -> None:
    """Check that no patient has images in several sections of a split.

    Raises:
        LungsegError: a patient has, or the patient rule fails.
    """
    section_of = {name: section for section in SECTIONS for name in sections[section]}
    for patient, members in _by_patient(section_of, patients).items():
        taken = sorted({section_of[name] for name in members})
        if len(taken) > 1:
            what = f"images of one patient are in the lists {' and '.join(taken)}"
            remedy = "correct the lists, or the patient rule"
            raise LungsegError(what, patient, remedy, code="patient-in-several-lists")


def write_split(path: str | PathLike[str], sections: Split, seed: int) -> None:
    """Write a split as JSON, or as a table if the name ends in .csv, completely or not at all.

    The lists of a run may contain "excluded", cases in no section, and "trained_before", cases that its initial weights
    were trained on.

    Raises:
        LungsegError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        if is_table(path):
            write_table(temporary, sections)
            return
        temporary.write_text(json.dumps({"seed": seed, **sections}, indent=1) + "\n", encoding="utf-8")


def read_split(path: str | PathLike[str]) -> Split:
    """Read a split that `write_split` wrote, or a table, see :mod:`lungseg.data.split_tables`.

    Raises:
        LungsegError: the file cannot be read, is not a split, or holds a case twice.
    """
    if is_table(path):
        return read_table(path)
    try:
        content = json.loads(Path(path).read_text("utf-8"))
        lists = (*SECTIONS, EXCLUDED) if EXCLUDED in content else SECTIONS
        sections = {name: [str(case) for case in content[name]] for name in lists}
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = "this is not a split: JSON with the lists train, validation and test, or CSV (name, split) as .csv"
        raise LungsegError(what, path, "correct or delete it", code="split-invalid") from error
    everything = [name for members in sections.values() for name in members]
    if len(set(everything)) < len(everything):
        twice = next(name for name in everything if everything.count(name) > 1)
        raise LungsegError(f"the case {twice} is in it twice", path, "correct or delete it", code="split-invalid")
    return sections


@cache
def _frozen_sections() -> dict[str, str]:
    return {
        stem: section for sections in frozen_splits().values() for section, stems in sections.items() for stem in stems
    }


def _by_folders(names: Sequence[str]) -> Split | None:
    """Return the sections that the names' folders state, if they do so for each name, and for each section."""
    sections: Split = {section: [] for section in SECTIONS}
    for name in names:
        stated = {section for folder in name.split("/")[:-1] if (section := section_of(folder))}
        if len(stated) != 1:
            return None
        sections[stated.pop()].append(name)
    return sections if all(sections.values()) else None


def _by_patient(names: Iterable[str], patients: str | PathLike[str] | None) -> dict[str, list[str]]:
    rule = patient_rule(patients)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        groups[rule(name)].append(name)
    return dict(groups)


def _shuffled(groups: list[tuple[str, list[str]]], seed: int) -> list[tuple[str, list[str]]]:
    """Sort by stratum, then by hash, so that every section of the order has the strata in proportion."""

    def key(group: tuple[str, list[str]]) -> tuple[str, str, bytes]:
        patient, members = group
        stem = file_stem(members[0])
        kind = stem[-2:] if stem.endswith(("_0", "_1")) else ""
        return (
            set_of(stem),
            f"{class_of(members[0])}/{kind}",
            hashlib.sha256(f"{seed}:{patient}".encode(errors="surrogateescape")).digest(),
        )

    return sorted(groups, key=key)


def _shares(count: int) -> dict[str, int]:
    """Return the number of patients of each section; with three or more patients no section is empty."""
    test = max(round(_SHARES["test"] * count), count > 2)
    validation = max(round(_SHARES["validation"] * count), count > 1)
    return {"train": count - test - validation, "validation": validation, "test": test}
