# SPDX-License-Identifier: Apache-2.0
"""The lists of a run, which it keeps when it goes on and hands on to runs that start from its weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain
from os import PathLike
from pathlib import Path

from monai.bundle import ConfigParser

from lungseg.data import datalist
from lungseg.data.patients import file_stem
from lungseg.data.splits import RUN_SPLITS, SECTIONS, TRAINED_BEFORE, frozen_splits, is_frozen, read_split, write_split
from lungseg.model.config import is_computed
from lungseg.model.paths import weights_file
from lungseg.utils.errors import LungsegError
from lungseg.utils.text import shorten_list

_SHOWN = 3


def inherit_split(config: dict, say: Callable[[str], None]) -> None:
    """Leave the cases of the run that the first weights come from in its lists: none that it saw becomes unseen."""
    init, source = config["init"], config["data_source"]
    if init is None or is_computed(init) or source["splits_file"] is not None or source["run_splits"] is not None:
        return
    lists = Path(init).parent / RUN_SPLITS
    if lists.is_file():
        source["run_splits"] = str(lists)
        say(f"Cases of {lists.parent} stay in its lists.")


def training_names(init: str | None) -> list[str]:
    """Return the names of the cases that the first weights were trained on."""
    return [] if init is None else sorted(training_cases(init))


def freeze_split(config: dict, lists: Path, say: Callable[[str], None]) -> dict:
    """Return the data source of a run that goes on: its cases stay in its lists, and no others come along."""
    # Earlier versions' configs have no such item.
    source = config["data_source"] | {"run_splits": str(lists)}
    parsed = ConfigParser(config | {"data_source": source}).get_parsed_content("data_source")
    sections = read_split(lists)
    used = set(chain(*(sections[section] for section in SECTIONS)))
    others = _names(datalist(section="all", **parsed | {"sets": None, "exclude": []})) - used
    if added := sorted(others.difference(sections.get("excluded", ()))):
        told = shorten_list(added, _SHOWN)
        say(f"Not used, as they were added since the run began: {told}; a new run with --init trains on them")
    return source | {"exclude": sorted(others.union(source["exclude"]))}


def check_no_missing_cases(lists: Path, data: dict[str, list[dict]]) -> None:
    """Refuse to go on without cases that the run has seen: they would be taken for unseen ones later."""
    seen = read_split(lists)
    missing = sorted(set(seen["train"]) - _names(data["train"]) | set(seen["validation"]) - _names(data["validate"]))
    if missing:
        what = f"{len(missing)} cases of the run are not in the data set any more, the first being {missing[0]}"
        raise LungsegError(what, lists, "restore them, or start a new run with --init")


def write_training_split(path: Path, data: dict[str, list[dict]], source: dict, before: list[str]) -> None:
    """Write the names of the cases that the run uses, of those that it does not, and what its first weights saw."""
    lists = {"train": _names(data["train"])}
    lists["validation"] = _names(data["validate"]) - lists["train"]
    lists["test"] = set()
    with suppress(LungsegError):  # a few pairs have no test list
        lists["test"] = _names(datalist(section="test", **source)) - lists["train"] - lists["validation"]
    everything = _names(datalist(section="all", **source | {"sets": None, "exclude": []}))
    lists["excluded"] = everything.difference(*lists.values())
    lists[TRAINED_BEFORE] = before
    write_split(path, {name: sorted(members) for name, members in lists.items()}, source["seed"])


def _names(cases: list[dict]) -> set[str]:
    return {case["name"] for case in cases}


def training_cases(weights: str | PathLike) -> set[str]:
    """Return the names of the cases that weights in a run's folder, or the bundle's, were trained on.

    Those that a run's first weights were trained on are among them.

    Raises:
        LungsegError: the run's lists cannot be read.
    """
    lists = Path(weights).parent / RUN_SPLITS
    if lists.is_file():
        return {*read_split(lists)["train"], *trained_before(lists)}
    # The few training references that were left out are named too, lest weights be measured on their radiographs.
    sets = {weights_file("shipped"): ("montgomery", "shenzhen"), weights_file("montgomery"): ("montgomery",)}
    return {stem for name in sets.get(Path(weights).resolve(), ()) for stem in frozen_splits()[name]["train"]}


def trained_before(lists: str | PathLike) -> list[str]:
    """Return what a run's `splits.json` says of the cases that its first weights were trained on."""
    return json.loads(Path(lists).read_text("utf-8")).get(TRAINED_BEFORE, [])


def trained_on(weights: str | PathLike, names: Iterable[str]) -> list[str]:
    """Return those of the cases `names` that weights were trained on, sorted; see `training_cases`."""
    seen = training_cases(weights)
    return sorted(name for name in set(names) if name in seen or (is_frozen(name) and file_stem(name) in seen))
