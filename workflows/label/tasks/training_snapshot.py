# SPDX-License-Identifier: Apache-2.0
"""The data of a training: the present final labels, frozen, with some cases of the replay data."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import random
import shutil
from pathlib import Path
from typing import Any

from lungseg.data import check_has_lateral_labels, datalist, read_label, unusable_cases
from lungseg.data.annotations import LABELS
from lungseg.data.splits import RUN_SPLITS, SECTIONS, read_split, split, write_split
from lungseg.io import write_png
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import disk_is_to_blame
from lungseg.utils.names import path_inside

logger = logging.getLogger(__name__)
_SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
# With fewer labels, a section could be empty.
FEWEST = 5
_SHOWN = 5
# The folder of the cases that were labelled here.
_LABELLED = "labelled"
# Of the errors of a system, those that one file has.
_ITS_OWN = (errno.ENOENT, errno.ENAMETOOLONG)


def assign_sections(names: list[str], known: dict[str, list[str]]) -> dict[str, list[str]]:
    """Assign each labelled study to a section for good, so that a held-out study is never trained on.

    Args:
        names: the labelled studies.
        known: section -> studies, as an earlier call returned them.

    Returns:
        Section ("train", "validation", "test") -> studies, including those of `known`.
    """
    sections = {section: list(known.get(section, [])) for section in SECTIONS}
    placed = {name for members in sections.values() for name in members}
    fresh = sorted(set(names) - placed, key=lambda name: hashlib.sha256(name.encode()).digest())
    for name in fresh:
        total = 1 + sum(len(members) for members in sections.values())
        behind = max(SECTIONS, key=lambda section: _SHARES[section] * total - len(sections[section]))
        sections[behind].append(name)
    return {section: sorted(members) for section, members in sections.items()}


def replay_source(folder: Path, first: Path, file: Path) -> dict[str, str]:
    """Return the arguments of `datalist` for the replay data, with the lists of the first weights' run if it has any.

    Args:
        folder: of the data set.
        first: the first weights.
        file: the lists are written there, unless it exists.

    Raises:
        LungsegError: there is no data set, or the lists cannot be read or written.
    """
    if not file.is_file():
        lists = first.parent / RUN_SPLITS
        names = [case["name"] for case in datalist(folder, "all")]
        write_split(file, split(names, earlier=read_split(lists) if lists.is_file() else None), seed=0)
    return {"dataset_dir": str(folder), "splits_file": str(file)}


def freeze(
    labels: list[dict[str, str]],
    folder: Path,
    sections_file: Path,
    replay: dict[str, Any] | None,
    ratio: float,
    seed: int,
) -> dict[str, dict[str, int]]:
    """Create a data set in lungseg's own layout: `images/` (links), `labels/` (copies) and `splits.json`.

    Labels that are corrected during a training do not change it.

    Args:
        labels: {"image": path, "label": path, "name": study} of each final label.
        folder: of the data set; it must not exist.
        sections_file: keeps the sections of the studies.
        replay: the replay data, as :func:`replay_source` returns them, or None.
        ratio: the number of replayed cases to each labelled study, in training and validation.
        seed: of the choice of replayed cases.

    Returns:
        Section -> {"labels": number of labelled studies, "replay": number of replayed cases}.

    Raises:
        LungsegError: there are too few labels (too-few-labels), a section has no usable label (section-unusable), or
            the replay data cannot be used.
    """
    _check_enough(len(labels))
    replayed = replay_cases(replay) if replay is not None else {}
    placed = {}
    for case in labels:
        try:
            placed[case["name"]] = _place(folder, _LABELLED, case)
        except (LungsegError, OSError) as error:
            _leave_out(case, error)
    _check_enough(len(placed))
    known = read_split(sections_file) if sections_file.is_file() else {}
    assigned = assign_sections(list(placed), known)
    write_split(sections_file, assigned, seed)

    splits = {section: [placed[name] for name in members if name in placed] for section, members in assigned.items()}
    counts = {section: {"labels": len(names), "replay": 0} for section, names in splits.items()}
    for section, cases in replayed.items():
        wanted = min(len(cases), round(ratio * counts[section]["labels"]))
        for chosen in random.Random(seed).sample(cases, wanted):
            try:
                splits[section].append(_place(folder, "replay", chosen))
                counts[section]["replay"] += 1
            except (LungsegError, OSError) as error:
                _leave_out(chosen, error)
    write_split(folder / RUN_SPLITS, splits, seed)
    _check_usable(folder, splits)
    return counts


def _check_enough(number: int) -> None:
    if number < FEWEST:
        what, remedy = f"{number} final labels are too few to train", f"annotate at least {FEWEST} studies first"
        raise LungsegError(what, remedy=remedy, code="too-few-labels")


def _leave_out(case: dict[str, Any], error: LungsegError | OSError) -> None:
    """Continue without a case, unless the others would fail in the same way."""
    if disk_is_to_blame(error) if isinstance(error, LungsegError) else error.errno not in _ITS_OWN:
        raise error
    logger.warning("not used: %s (%s)", case["name"], error)


def replay_cases(source: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the cases of a data set that a training can replay: those of "train" and "validation", as `datalist` does.

    Args:
        source: arguments of `datalist` for the data set and its lists.

    Raises:
        LungsegError: there is no data set, a section is empty, or "validation", on which versions are compared, has no
            usable case.
    """
    unusable = unusable_cases(["validation"], **source)
    return {section: datalist(section=section, exclude=unusable, **source) for section in ("train", "validation")}


def _check_usable(folder: Path, splits: dict[str, list[str]]) -> None:
    """Check that each section has a usable case, before the training begins and not after its last epoch."""
    filled = [section for section in SECTIONS if splits[section]]
    source = snapshot_source(folder)
    unusable = set(unusable_cases(filled, **source))
    for section, names in splits.items():
        if unusable.issuperset(names):
            what = f"the section {section} has no usable case ({', '.join(names[:_SHOWN]) or 'it is empty'})"
            remedy = "correct the labels and save them again, or annotate more studies"
            raise LungsegError(what, remedy=remedy, code="section-unusable")
    check_has_lateral_labels(datalist(section="validation", exclude=sorted(unusable), **source))


def snapshot_source(folder: Path) -> dict[str, Any]:
    """Return the arguments of `datalist` for a data set that `freeze` created.

    A label map may hold one lung alone; without a statement about its values, it could be a binary mask.
    """
    return {"dataset_dir": str(folder), "splits_file": str(folder / RUN_SPLITS), "labels": LABELS}


def _place(folder: Path, group: str, case: dict[str, Any]) -> str:
    """Add a case to the data set, with a label map instead of masks, and return its name there.

    Raises:
        LungsegError: the replayed masks cannot be used, or the case has the name of a path.
        OSError: a file cannot be copied, or its name is too long.
    """
    name = f"{group}/{case['name']}"
    # Files are paired by the endings of images and read by content, so a link to a NIfTI file can end in .png.
    parts = f"{name}.png".split("/")
    image, label = path_inside(folder, "images", *parts), path_inside(folder, "labels", *parts)
    for file in (image, label):
        file.parent.mkdir(parents=True, exist_ok=True)
    if group == _LABELLED:
        shutil.copyfile(case["label"], label)
    else:
        write_png(label, read_label(case["label"], case.get("labels")).labels)
    os.symlink(Path(case["image"]).resolve(), image)
    return name
