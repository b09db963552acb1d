# SPDX-License-Identifier: Apache-2.0
"""The cases that weights were trained on: a run keeps its split, and runs that start from its weights inherit it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from lungseg.data import datalist
from lungseg.data.patients import file_stem
from lungseg.data.splits import RUN_SPLITS, SECTIONS, TRAINED_BEFORE, is_frozen, read_split, write_split
from lungseg.model.paths import lists_file
from lungseg.model.trust import is_computed
from lungseg.utils.errors import LungsegError
from lungseg.utils.text import shorten_list

_log = logging.getLogger(__name__)

# Cases by name of the section.
Lists = dict[str, list[dict[str, Any]]]

_SHOWN = 3


def inherit_split(config: dict[str, Any]) -> None:
    """Keep every case that the initial weights were trained on out of validation and test.

    Their run's cases stay in its lists, unless `config` names lists of its own.
    """
    init, source = config["init"], config["data_source"]
    if init is None or is_computed(init) or source["splits_file"] is not None or source["run_splits"] is not None:
        return
    lists = Path(init).parent / RUN_SPLITS
    if lists.is_file():
        source["run_splits"] = str(lists)
        _log.info("The cases of %s stay in its lists.", lists.parent)


def training_names(init: str | None) -> list[str]:
    """Return the names of the cases that the initial weights were trained on."""
    return [] if init is None else sorted(training_cases(init))


def freeze_split(config: dict[str, Any], lists: Path) -> dict[str, Any]:
    """Return the data source of a resumed run: its cases stay in its lists, and cases added since are excluded."""
    source: dict[str, Any] = config["data_source"] | {"run_splits": str(lists)}
    parsed = ConfigParser(config | {"data_source": source}).get_parsed_content("data_source")
    sections = read_split(lists)
    used = set(chain(*(sections[section] for section in SECTIONS)))
    others = _names(datalist(section="all", **parsed | {"sets": None, "exclude": []})) - used
    if added := sorted(others.difference(sections.get("excluded", ()))):
        _log.info(
            "Not used, because added since the run began: %s; a new run with --init trains on them",
            shorten_list(added, _SHOWN),
        )
    return source | {"exclude": sorted(others.union(source["exclude"]))}


def check_no_missing_cases(lists: Path, data: Lists) -> None:
    """Check that the data set has all cases that the run has seen: a missing one would count as unseen later.

    Raises:
        LungsegError: a case of the run is missing.
    """
    seen = read_split(lists)
    missing = sorted(set(seen["train"]) - _names(data["train"]) | set(seen["validation"]) - _names(data["validate"]))
    if missing:
        what = f"{len(missing)} cases of the run are no longer in the data set ({shorten_list(missing, _SHOWN)})"
        raise LungsegError(what, lists, "restore them, or start a new run with --init", code="cases-missing")


def write_training_split(path: Path, data: Lists, source: dict[str, Any], before: list[str]) -> None:
    """Write the names of the cases that the run uses and leaves out, and of those that its initial weights saw.

    Args:
        path: the file to write.
        data: "train" and "validate" -> cases.
        source: arguments of :func:`lungseg.data.datalist`.
        before: names of the cases that the initial weights were trained on.
    """
    lists = {"train": _names(data["train"])}
    lists["validation"] = _names(data["validate"]) - lists["train"]
    lists["test"] = set()
    with suppress(LungsegError):  # a few pairs have no test list
        lists["test"] = _names(datalist(section="test", **source)) - lists["train"] - lists["validation"]
    everything = _names(datalist(section="all", **source | {"sets": None, "exclude": []}))
    lists["excluded"] = everything.difference(*lists.values())
    lists[TRAINED_BEFORE] = set(before)
    write_split(path, {name: sorted(members) for name, members in lists.items()}, source["seed"])


def _names(cases: list[dict[str, Any]]) -> set[str]:
    return {case["name"] for case in cases}


def training_cases(weights: str | PathLike[str]) -> set[str]:
    """Return the names of the cases that weights in a run's folder, or the bundle's weights, were trained on.

    The cases that a run's initial weights were trained on are included.

    Raises:
        LungsegError: the run's lists cannot be read.
    """
    lists = lists_file(weights)
    return {*read_split(lists)["train"], *trained_before(lists)} if lists.is_file() else set()


def trained_before(lists: str | PathLike[str]) -> list[str]:
    """Return the names of the cases that a run's initial weights were trained on, from its `splits.json`."""
    names: list[str] = json.loads(Path(lists).read_text("utf-8")).get(TRAINED_BEFORE, [])
    return names


def trained_on(weights: str | PathLike[str], names: Iterable[str]) -> list[str]:
    """Return the cases among `names` that weights were trained on, sorted; see `training_cases`."""
    seen = training_cases(weights)
    return sorted(name for name in set(names) if name in seen or (is_frozen(name) and file_stem(name) in seen))
