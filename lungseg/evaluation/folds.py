# SPDX-License-Identifier: Apache-2.0
"""The folds of a cross-validation: the cases that each trains on, chooses by and holds out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from lungseg.data import datalist, kfold, write_split
from lungseg.data.check import excluded_cases
from lungseg.data.patients import patient_rule
from lungseg.data.splits import Split
from lungseg.model.config import read_config, read_json
from lungseg.model.paths import config_file, weights_file
from lungseg.model.trust import foreign_items
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import atomic_path, usable_folder
from lungseg.utils.text import shorten_list

# The file of the folds, in the folder of a cross-validation.
PLAN = "folds.json"
# One in eight of the patients that a fold does not hold out: with five folds a tenth of all, as in other splits.
_VALIDATION = 8
_SHOWN = 3
_OWN_LISTS = ("data_source#splits_file", "data_source#run_splits")
_PATHS = ("dataset_dir", "data_source#images", "data_source#masks")


@dataclass(frozen=True)
class Plan:
    """The folds of a cross-validation, and the settings that it began with.

    Attributes:
        settings: item of the config -> value, with `folds` and `init`; paths are absolute.
        excluded: names of cases that cannot be used; they are in the lists, but no fold uses them.
        lists: the lists of each fold.
        seed: of the lists.
    """

    settings: dict[str, Any]
    excluded: list[str]
    lists: list[Split]
    seed: int

    def write_lists(self, folder: Path) -> list[Path]:
        """Write the lists of each fold to a file of its own, and return the files."""
        files = [folder / f"fold-{number}.json" for number in range(1, len(self.lists) + 1)]
        for file, lists in zip(files, self.lists, strict=True):
            write_split(file, lists, self.seed)
        return files


def plan_folds(
    output: Path,
    k: int,
    overrides: Mapping[str, Any],
    init: str | PathLike[str] | None = None,
    trust: bool = False,
) -> tuple[Plan, bool]:
    """Return the plan of a cross-validation, and whether an earlier call made it.

    All cases of the data set are drawn into folds, whatever lists the data set has.

    Args:
        output: folder of the cross-validation, for `folds.json`.
        k: number of folds.
        overrides: items of `train.json` and their values.
        init: weights to start from.
        trust: the config may have code that is not this package's.

    Raises:
        UsageError: there are fewer patients than folds need, the settings name lists of their own, or they are not
            those that the cross-validation began with (kfold-other-options).
        LungsegError: the data cannot be used, or have changed since the cross-validation began (kfold-data-changed).
    """
    if named := [key for key in _OWN_LISTS if overrides.get(key) is not None]:
        what = f"a cross-validation draws its own lists, so {named[0]} cannot be set"
        raise UsageError(what, remedy="leave out --splits", code="kfold-with-splits")
    settings = _absolute({**overrides, "folds": k, "init": None if init is None else str(weights_file(init))})
    # Items that a run of this version cannot have are refused before the data are read.
    config = read_config([config_file("train")], overrides)
    if not trust and (own := _own_code(config)):
        # Otherwise the first fold would be trained, and then not measured.
        what = f"measuring a fold, and going on with it, runs code of your own ({shorten_list(own, _SHOWN)})"
        raise UsageError(what, remedy="add --trust", code="config-runs-code")
    file = output / PLAN
    began = Plan(**read_json(file)) if file.is_file() else None
    if began is not None:
        _check_same(settings, began.settings, output)
    source = ConfigParser(config).get_parsed_content("data_source")
    names = [case["name"] for case in datalist(section="all", **source | {"exclude": []})]
    if began is not None:
        _check_unchanged(set(names), began, output)
        return began, True
    lists = draw_folds(names, k, source["seed"], source["patients"])
    plan = Plan(settings, excluded_cases(config, ["all"]), lists, source["seed"])
    _check_usable(plan)
    with atomic_path(usable_folder(output) / PLAN) as path:
        path.write_text(json.dumps(asdict(plan), indent=1) + "\n", encoding="utf-8")
    return plan, False


def draw_folds(names: Iterable[str], k: int, seed: int = 0, patients: str | PathLike[str] | None = None) -> list[Split]:
    """Return k splits; every case is in the test list of one, and a patient's images are always together.

    An eighth of the other patients validates: the best epoch is never chosen by the cases that are held out. Folds and
    validation lists are stratified as those of :func:`lungseg.data.kfold`.

    Args:
        names: of the cases.
        k: number of folds.
        seed, patients: see :func:`lungseg.data.split`.

    Raises:
        UsageError: k is below two or above the number of patients, or training would have one patient.
    """
    splits = []
    rule = patient_rule(patients)
    for fold in kfold(names, k, seed, patients):
        others = len({rule(name) for name in fold["train"]})
        if others < 2:
            what = f"{others + 1} patients in {k} folds leave one patient for training and validation"
            raise UsageError(what, remedy="give more images, or more folds", code="folds-out-of-range")
        inner = kfold(fold["train"], min(_VALIDATION, others), seed, patients)[0]
        splits.append({"train": inner["train"], "validation": inner["validation"], "test": fold["validation"]})
    return splits


def _own_code(config: dict[str, Any]) -> list[str]:
    """Return the ids of the items with which a run's config would run code that is not this package's."""
    usual = read_config([config_file("train")], {})
    network = config["network_def"]
    if isinstance(network, dict) and network.get("out_channels") == usual["network_def"]["out_channels"]:
        # The config of a run has the number instead.
        config = config | {"network_def": network | {"out_channels": 3}}
    return foreign_items(config, usual)


def _check_same(settings: dict[str, Any], began: dict[str, Any], output: Path) -> None:
    keys = [key for key in (settings | began) if settings.get(key) != began.get(key)]
    if keys:
        values = (began.get(key) for key in keys[:_SHOWN])
        shown = ("not set" if value is None else json.dumps(value) for value in values)
        changes = ", ".join(f"{key} was {value}" for key, value in zip(keys, shown, strict=False))
        what = f"the cross-validation in this folder began with other options ({changes})"
        raise UsageError(what, output, "give the same ones, or another --output", code="kfold-other-options")


def _check_unchanged(names: set[str], began: Plan, output: Path) -> None:
    known = {name for members in began.lists[0].values() for name in members}
    if changed := sorted(names ^ known):
        what = f"cases were added or removed since the cross-validation began ({shorten_list(changed, _SHOWN)})"
        raise LungsegError(what, output, "restore them, or give another --output", code="kfold-data-changed")


def _check_usable(plan: Plan) -> None:
    for number, lists in enumerate(plan.lists, start=1):
        for section, members in lists.items():
            if not set(members).difference(plan.excluded):
                what = f"fold {number} has no usable case in its {section} list"
                raise UsageError(what, remedy="give more images, or another number of folds", code="fold-empty")


def _absolute(settings: dict[str, Any]) -> dict[str, Any]:
    """Make paths absolute, so that the command may be given again in another folder."""
    paths = {key for key in (*_PATHS, "init") if isinstance(settings.get(key), str)}
    if str(settings.get("data_source#patients")).lower().endswith(".csv"):  # else it is a regular expression
        paths.add("data_source#patients")
    absolute = {key: str(Path(value).absolute()) if key in paths else value for key, value in settings.items()}
    # As they are once they were written and read.
    stored: dict[str, Any] = json.loads(json.dumps(absolute))
    return stored
