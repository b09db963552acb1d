# SPDX-License-Identifier: Apache-2.0
"""What a training learns from: the final labels of now, frozen, with a share of the original training data."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from lungseg.data import check_has_lateral_labels, datalist, read_label, unusable_cases
from lungseg.data.labels import MaskError
from lungseg.data.splits import RUN_SPLITS, SECTIONS, read_split, split, write_split
from lungseg.io import write_png
from lungseg.utils.errors import LungsegError

_SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
# Fewer would leave a section with hardly any.
FEWEST = 5
_SHOWN = 5


def assign(names: list[str], known: dict[str, list[str]]) -> dict[str, list[str]]:
    """Give each labelled study a section that it keeps for good: what is held out today is never trained on.

    Args:
        names: the labelled studies.
        known: section -> studies, as an earlier call returned them.

    Returns:
        Section ("train", "validation", "test") -> studies, with those of `known` among them.
    """
    sections = {section: list(known.get(section, [])) for section in SECTIONS}
    placed = {name for members in sections.values() for name in members}
    fresh = sorted(set(names) - placed, key=lambda name: hashlib.sha256(name.encode()).digest())
    for name in fresh:
        total = 1 + sum(len(members) for members in sections.values())
        behind = max(SECTIONS, key=lambda section: _SHARES[section] * total - len(sections[section]))
        sections[behind].append(name)
    return {section: sorted(members) for section, members in sections.items()}


def replay_source(folder: Path, first: Path, file: Path) -> dict:
    """Return what names a data set and its lists to `datalist`: those of the first weights' run, where they have one.

    Args:
        folder: of the data set.
        first: the first weights.
        file: where the lists are written, unless they are there.

    Raises:
        LungsegError: there is no data set, or the lists cannot be read or written.
    """
    if not file.is_file():
        lists = first.parent / RUN_SPLITS
        names = [case["name"] for case in datalist(folder, "all")]
        write_split(file, split(names, earlier=read_split(lists) if lists.is_file() else None), seed=0)
    return {"dataset_dir": str(folder), "splits_file": str(file)}


def freeze(
    labels: list[dict], folder: Path, sections_file: Path, original: dict | None, share: float, seed: int
) -> dict[str, dict[str, int]]:
    """Make a data set in lungseg's own layout: `images/` (links), `labels/` (copies) and `splits.json`.

    Labels that are corrected while a training runs do not change it.

    Args:
        labels: {"image": path, "label": path, "name": study} of each final label.
        folder: of the data set; it must not be there.
        sections_file: remembers the sections of the studies.
        original: what names the first weights' data set, as :func:`replay_source` returns it, or None.
        share: so many original cases to each labelled study, in training and validation.
        seed: of the choice of original cases.

    Returns:
        Section -> {"labels": number of labelled studies, "original": number of original cases}.

    Raises:
        LungsegError: there are too few labels, or none in a section that can be used, or the original data cannot be
            used.
    """
    if len(labels) < FEWEST:
        remedy = f"annotate at least {FEWEST} studies first"
        raise LungsegError(f"there are {len(labels)} final labels, too few to train and to judge by", remedy=remedy)
    originals = replay_cases(original) if original is not None else {}
    known = read_split(sections_file) if sections_file.is_file() else {}
    assigned = assign([case["name"] for case in labels], known)
    write_split(sections_file, assigned, seed)

    of = {name: section for section, members in assigned.items() for name in members}
    splits: dict[str, list[str]] = {section: [] for section in SECTIONS}
    counts = {section: {"labels": 0, "original": 0} for section in SECTIONS}
    for case in labels:
        section = of[case["name"]]
        splits[section].append(_place(folder, "labelled", case))
        counts[section]["labels"] += 1
    for section, cases in originals.items():
        wanted = min(len(cases), round(share * counts[section]["labels"]))
        for case in random.Random(seed).sample(cases, wanted):
            try:
                splits[section].append(_place(folder, "original", case))
                counts[section]["original"] += 1
            except MaskError as error:
                print(f"Not used: {error}", flush=True)
    write_split(folder / "splits.json", splits, seed)
    _check_fit(folder, splits)
    return counts


def replay_cases(source: dict, say: Callable[[str], None] = print) -> dict[str, list[dict]]:
    """Return the cases of a data set that a training may take: those of "train" and "validation", as `datalist` does.

    Args:
        source: arguments of `datalist` that name the data set, and its lists if they are not the usual ones.
        say: takes a line about each file of "validation" that is not used.

    Raises:
        LungsegError: there is no data set, or a section is empty, or nothing of "validation", which versions are
            compared on, can be used.
    """
    unfit = unusable_cases(["validation"], **source)
    return {section: datalist(section=section, exclude=unfit, **source) for section in ("train", "validation")}


def _check_fit(folder: Path, splits: dict[str, list[str]]) -> None:
    """Refuse a section in which nothing can be used now, for the last one is not read before all epochs are over."""
    filled = [section for section in SECTIONS if splits[section]]
    lists = folder / "splits.json"
    unfit = set(unusable_cases(filled, dataset_dir=folder, splits_file=lists))
    for section, names in splits.items():
        if unfit.issuperset(names):
            told = ", ".join(names[:_SHOWN]) or "it is empty"
            remedy = "correct the labels and save them again, or annotate more studies"
            raise LungsegError(f"nothing of the section {section} can be used ({told})", remedy=remedy)
    check_has_lateral_labels(datalist(folder, "validation", splits_file=lists, exclude=sorted(unfit)))


def _place(folder: Path, group: str, case: dict) -> str:
    """Put a case into the data set, the masks of two lungs as one label map, and return its name there.

    Raises:
        MaskError: the masks of two lungs cannot be merged.
    """
    name = f"{group}/{case['name']}"
    # Pairing goes by the endings of pictures, reading by the content: so a link to a NIfTI file may be called PNG.
    image, label = folder / "images" / f"{name}.png", folder / "labels" / f"{name}.png"
    for file in (image, label):
        file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(case["label"], str):
        shutil.copyfile(case["label"], label)
    else:
        write_png(label, read_label(case["label"]).labels)
    os.symlink(Path(case["image"]).resolve(), image)
    return name
