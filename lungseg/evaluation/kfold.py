# SPDX-License-Identifier: Apache-2.0
"""Cross-validate: train and measure fold by fold, so that each case is measured by a network that never saw it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from lungseg.evaluation.evaluate import evaluate
from lungseg.evaluation.folds import Plan, plan_folds
from lungseg.evaluation.results import read_cases, read_summary
from lungseg.report.kfold import Fold, write_kfold
from lungseg.training.train import train
from lungseg.utils.files import only_user, usable_folder

_log = logging.getLogger(__name__)

# Items of the config that an evaluation shares with the training; a run states its network by itself.
_OF_DATA = ("dataset_dir", "data_source", "device", "num_workers", "progress", "seed", "amp")


def kfold(
    output: str | PathLike[str],
    folds: int = 5,
    overrides: Mapping[str, Any] | None = None,
    init: str | PathLike[str] | None = None,
    trust: bool = False,
) -> dict[str, Any]:
    """Train and evaluate on each fold of a data set, or go on where an earlier call was stopped.

    Every case is held out once, and a patient's images together; see :func:`lungseg.evaluation.folds.draw_folds`.

    Args:
        output: folder for `fold-1`, … (runs, each with its `evaluation`), `folds.json` (the lists of each fold),
            `kfold.csv`, `kfold.json`, `cases.csv` and `index.html`.
        folds: number of folds.
        overrides: items of `train.json` and their values; a call that goes on needs the same ones.
        init: weights that each fold starts from; see :func:`lungseg.model.paths.weights_file`.
        trust: the config may have code of your own; see :func:`lungseg.training.train.train`.

    Returns:
        The content of `kfold.json`; see :func:`lungseg.report.kfold.write_kfold`.

    Raises:
        UsageError: an override is unknown, the options are not those that the cross-validation began with, there are
            too few patients, or another process works in the folder.
        LungsegError: the data or the weights cannot be used or have changed, or the disk is full.
    """
    output = Path(output)
    with only_user(usable_folder(output) / "kfold.lock"):
        plan, goes_on = plan_folds(output, folds, overrides or {}, init, trust)
        if goes_on:
            _log.info("Going on with the cross-validation in %s.", output)
        done = [
            _fold(number, file, output, plan, dict(overrides or {}), init, trust)
            for number, file in enumerate(plan.write_lists(output / "lists"), start=1)
        ]
        return write_kfold(done, output, plan.excluded)


def _fold(
    number: int,
    lists: Path,
    output: Path,
    plan: Plan,
    overrides: dict[str, Any],
    init: str | PathLike[str] | None,
    trust: bool,
) -> Fold:
    """Train and measure one fold, as far as that is not done."""
    run, which = output / f"fold-{number}", f"Fold {number} of {len(plan.lists)}"
    overrides["data_source#exclude"] = plan.excluded
    if (run / "run.json").is_file():
        _log.info("%s: trained already.", which)
    elif (run / "config.json").is_file():
        _log.info("%s: training goes on.", which)
        train(run, resume=True, trust=trust)
    else:
        _log.info("%s: training.", which)
        train(run, overrides | {"data_source#run_splits": str(lists)}, init)
    evaluation = run / "evaluation"
    # The page is written last.
    if (evaluation / "index.html").is_file():
        _log.info("%s: measured already.", which)
    else:
        _log.info("%s: measuring the cases that it held out.", which)
        data = {key: value for key, value in overrides.items() if key.partition("#")[0] in _OF_DATA}
        evaluate(evaluation, "test", run, data, trust)
    return Fold(run.name, read_cases(evaluation), read_summary(evaluation).get("warning"))
