# SPDX-License-Identifier: Apache-2.0
"""Read the meanings of the values of label maps from a `dataset.json` of nnU-Net."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lungseg.utils.errors import LungsegError

_FILE = "dataset.json"
# A file of nnU-Net's first version lists all cases.
_LARGEST = 16_000_000
# Names of lungs in small letters: with the word, or a side alone.
_LUNG = re.compile(r".*(lung|pulmo).*|(right|left)( field)?")
_SIDES = {"right": re.compile(r"right|\b(r|rt)\b|\brlung"), "left": re.compile(r"left|\b(l|lt)\b|\bllung")}
_HEART = re.compile(r"heart|cardi")


def read_labels(folder: Path) -> str | None:
    """Return the meanings of the values of the label maps, as :func:`lungseg.data.label_values.parse_labels` reads it.

    Regions (a list of values under one name) are read too: a value is a lung if a region of lungs holds it, and of the
    side that any of its names states. Values of something else, such as clavicles, are background.

    Returns:
        Such as "right=1,left=2,heart=3,ignore=4,background=5"; None if there is no such file, or it names no lung.

    Raises:
        LungsegError: the file cannot be read (dataset-json-invalid).
    """
    file = folder / _FILE
    if not file.is_file():
        return None
    try:
        if file.stat().st_size > _LARGEST:
            raise ValueError("it is too large")
        labels = json.loads(file.read_text("utf-8-sig")).get("labels")
        named = list(_values(labels if isinstance(labels, dict) else {}))
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        what, remedy = f"this is not a dataset.json of nnU-Net ({error})", "correct it, or rename it"
        raise LungsegError(what, file, remedy, code="dataset-json-invalid") from error
    names: dict[int, list[str]] = defaultdict(list)
    for value, name in named:
        names[value].append(name)
    meanings = {value: _meaning(of_value) for value, of_value in names.items()}
    # Of a region of both lungs and a region of one, the rest is the other one.
    sides = {"right", "left"} & set(meanings.values())
    if len(sides) == 1 and list(meanings.values()).count("lung") == 1:
        (other,) = {"right", "left"} - sides
        meanings = {value: other if meaning == "lung" else meaning for value, meaning in meanings.items()}
    stated = {"right", "left", "lung"}.intersection(meanings.values())
    if not stated or stated in ({"right"}, {"left"}):
        return None
    return ",".join(f"{meaning}={value}" for value, meaning in sorted(meanings.items()) if value)


def _values(labels: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield value and name: of the second version ({name: value or values}) or the first one ({value: name})."""
    for key, item in labels.items():
        if key.isdecimal() and isinstance(item, str):
            yield int(key), _plain(item)
        else:
            for value in item if isinstance(item, list) else [item]:
                yield int(value), _plain(key)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name).strip().lower()


def _meaning(names: list[str]) -> str:
    """Return the meaning of a value by the names of all regions that hold it."""
    if "ignore" in names:
        return "ignore"
    lungs = [name for name in names if _LUNG.fullmatch(name)]
    for side, pattern in _SIDES.items():
        if any(pattern.search(name) for name in lungs):
            return side
    if lungs:
        return "lung"
    return "heart" if any(_HEART.search(name) for name in names) else "background"
