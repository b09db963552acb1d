# SPDX-License-Identifier: Apache-2.0
"""Which cases train, validate and test: frozen lists for the public sets, a seeded rule for all others.

The frozen lists are those of Gaal et al. 2020 (arXiv 2003.10304).
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from os import PathLike
from pathlib import Path

from lungseg.data.patients import file_stem, patient_rule
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import atomic_path

SECTIONS = ("train", "validation", "test")
SETS = ("montgomery", "shenzhen", "other")
# Of a run: the lists that it used, in the run's folder.
RUN_SPLITS = "splits.json"
_LEFT_OUT = "left_out"
# Of a run: what the weights that it started from were trained on.
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
    """Return the data set that a case's name tells: "montgomery", "shenzhen" or "other"."""
    return next((found for prefix, found in _PREFIXES.items() if file_stem(name).startswith(prefix)), "other")


def split(
    names: Iterable[str], seed: int = 0, patients: str | PathLike | None = None, earlier: Split | None = None
) -> Split:
    """Split cases into about 70 % train, 10 % validation and 20 % test.

    Cases of an earlier split, and of the frozen lists, keep their section. The others are drawn by a hash of seed and
    patient, stratified by data set and by class (names that end in _0 or _1), all images of a patient together; the
    order of the names does not matter, but one name more can move others.

    Args:
        names: the cases' names.
        seed: another seed, another split.
        patients: what tells the patient; see `patient_rule`.
        earlier: what the names were split into before.

    Raises:
        LungsegError: images of one patient are in several fixed sections, or the patient rule fails.
    """
    sections = {section: [] for section in SECTIONS}
    kept = {name: section for section in SECTIONS for name in (earlier or {}).get(section, ())}
    frozen = _frozen_sections()
    free = []
    for patient, members in _by_patient(names, patients).items():
        taken = {kept.get(name) or frozen.get(file_stem(name)) for name in members} - {None}
        if len(taken) > 1:
            lists = f"{'' if earlier else 'frozen '}lists {' and '.join(sorted(taken))}"
            raise LungsegError(
                f"images of one patient are in the {lists}",
                patient,
                "correct the rule that tells patients",
            )
        if taken:
            sections[taken.pop()] += members
        else:
            free.append((patient, members))
    shares = _shares(len(free))
    given = dict.fromkeys(SECTIONS, 0)
    for number, (_, members) in enumerate(_shuffled(free, seed), start=1):
        # The section that lags most behind its share; after the last one every share is met exactly.
        behind = max(SECTIONS, key=lambda section: shares[section] * number / len(free) - given[section])
        given[behind] += 1
        sections[behind] += members
    return {section: sorted(members) for section, members in sections.items()}


def kfold(names: Iterable[str], k: int, seed: int = 0, patients: str | PathLike | None = None) -> list[Split]:
    """Return k splits with an empty "test"; every case validates once, a patient's images together.

    Raises:
        UsageError: k is below two or above the number of patients.
    """
    groups = list(_by_patient(names, patients).items())
    if not 2 <= k <= len(groups):
        raise UsageError(
            f"{len(groups)} patients cannot be split into {k} folds", remedy=f"choose 2 to {len(groups)} folds"
        )
    folds = [[] for _ in range(k)]
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
    """Whether the frozen lists tell the section of a case."""
    return file_stem(name) in _frozen_sections()


def check_patients_together(sections: Split, patients: str | PathLike) -> None:
    """Refuse a split that has images of one patient in several sections.

    Raises:
        LungsegError: it has; or the patient rule fails.
    """
    section_of = {name: section for section in SECTIONS for name in sections[section]}
    for patient, members in _by_patient(section_of, patients).items():
        taken = sorted({section_of[name] for name in members})
        if len(taken) > 1:
            what = f"images of one patient are in the lists {' and '.join(taken)}"
            raise LungsegError(what, patient, "correct the lists, or the rule that tells patients")


def write_split(path: str | PathLike, sections: Split, seed: int) -> None:
    """Write a split as JSON, whole or not at all.

    It may have a list "left_out" of cases in no section, and one "trained_before", see `training_cases`.

    Raises:
        LungsegError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"seed": seed, **sections}, indent=1) + "\n", encoding="utf-8")


def read_split(path: str | PathLike) -> Split:
    """Read a split that `write_split` wrote.

    Raises:
        LungsegError: the file cannot be read, or holds no split, or a case twice.
    """
    try:
        content = json.loads(Path(path).read_text("utf-8"))
        lists = (*SECTIONS, _LEFT_OUT) if _LEFT_OUT in content else SECTIONS
        sections = {name: [str(case) for case in content[name]] for name in lists}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LungsegError(
            "this is not a split: JSON with the lists train, validation and test", path, "correct or delete it"
        ) from error
    everything = [name for members in sections.values() for name in members]
    if len(set(everything)) < len(everything):
        twice = next(name for name in everything if everything.count(name) > 1)
        raise LungsegError(f"the case {twice} is in it twice", path, "correct or delete it")
    return sections


@cache
def _frozen_sections() -> dict[str, str]:
    return {
        stem: section for sections in frozen_splits().values() for section, stems in sections.items() for stem in stems
    }


def _by_patient(names: Iterable[str], patients: str | PathLike | None) -> dict[str, list[str]]:
    rule = patient_rule(patients)
    groups = defaultdict(list)
    for name in sorted(names):
        groups[rule(name)].append(name)
    return dict(groups)


def _shuffled(groups: list[tuple[str, list[str]]], seed: int) -> list[tuple[str, list[str]]]:
    """Order by stratum, then at random; a walk along it meets the strata in proportion."""

    def key(group: tuple[str, list[str]]) -> tuple[str, str, bytes]:
        patient, members = group
        stem = file_stem(members[0])
        kind = stem[-2:] if stem.endswith(("_0", "_1")) else ""
        return set_of(stem), kind, hashlib.sha256(f"{seed}:{patient}".encode(errors="surrogateescape")).digest()

    return sorted(groups, key=key)


def _shares(count: int) -> dict[str, int]:
    """Return how many patients each section gets; with three or more none is empty."""
    test = max(round(_SHARES["test"] * count), count > 2)
    validation = max(round(_SHARES["validation"] * count), count > 1)
    return {"train": count - test - validation, "validation": validation, "test": test}
