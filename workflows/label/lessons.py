# SPDX-License-Identifier: Apache-2.0
"""What a training learns from: the final labels of now, frozen, with a share of the original training data."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from pathlib import Path

from lungseg.data import datalist
from lungseg.data.splits import SECTIONS, read_split, write_split
from lungseg.errors import LungsegError

_SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
# Fewer would leave a section with hardly any.
FEWEST = 5


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


def freeze(
    labels: list[dict], folder: Path, sections_file: Path, original: Path | None, share: float, seed: int
) -> dict[str, dict[str, int]]:
    """Make a data set in lungseg's own layout: `images/` (links), `labels/` (copies) and `splits.json`.

    Labels that are corrected while a training runs do not change it.

    Args:
        labels: {"image": path, "label": path, "name": study} of each final label.
        folder: of the data set; it must not be there.
        sections_file: remembers the sections of the studies.
        original: the data set that the weights were trained on, or None.
        share: so many original cases to each labelled study, in training and validation.
        seed: of the choice of original cases.

    Returns:
        Section -> {"labels": number of labelled studies, "original": number of original cases}.

    Raises:
        LungsegError: there are too few labels, or the original data cannot be used.
    """
    if len(labels) < FEWEST:
        remedy = f"annotate at least {FEWEST} studies first"
        raise LungsegError(f"there are {len(labels)} final labels, too few to train and to judge by", remedy=remedy)
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
    if original is not None and share > 0:
        for section in ("train", "validation"):
            cases = datalist(original, section)
            wanted = min(len(cases), round(share * counts[section]["labels"]))
            for case in random.Random(seed).sample(cases, wanted):
                splits[section].append(_place(folder, "original", case))
            counts[section]["original"] = wanted
    write_split(folder / "splits.json", splits, seed)
    return counts


def _place(folder: Path, group: str, case: dict) -> str:
    """Put a case into the data set, and return its name there."""
    name = f"{group}/{case['name']}"
    # Pairing goes by the endings of pictures, reading by the content: so a link to a NIfTI file may be called PNG.
    image, label = folder / "images" / f"{name}.png", folder / "labels" / f"{name}.png"
    for file in (image, label):
        file.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(case["label"], str):
        raise LungsegError("the original data have a mask per lung", case["image"], "give label maps or single masks")
    os.symlink(Path(case["image"]).resolve(), image)
    shutil.copyfile(case["label"], label)
    return name
