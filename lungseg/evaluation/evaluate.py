# SPDX-License-Identifier: Apache-2.0
"""`lungseg evaluate`: the bundle's evaluate config on one section of a data set."""

from __future__ import annotations

import json
from collections.abc import Callable
from os import PathLike
from pathlib import Path

from lungseg.data import datalist
from lungseg.data.check import excluded_cases
from lungseg.data.splits import RUN_SPLITS, read_split
from lungseg.model.config import build_workflow, plain_errors, read_config
from lungseg.model.paths import config_file, weights_file
from lungseg.model.run_settings import model_settings
from lungseg.model.weights import load_weights
from lungseg.utils.files import usable_folder


def evaluate(
    output: str | PathLike,
    split: str = "test",
    weights: str | PathLike | None = None,
    overrides: dict | None = None,
    say: Callable[[str], None] = print,
) -> dict:
    """Measure weights on a section of a data set.

    With weights that lie in a run's folder, the data set's cases are in the lists that the run had them in, unless the
    overrides name a splits file; images of a patient that the run knows stay on one side, as its rule tells patients.

    Args:
        output: folder for `cases.csv`, `summary.json`, pictures and `index.html`.
        split: "train", "validation", "test" or "all".
        weights: see :func:`lungseg.model.paths.weights_file`.
        overrides: items of the config and their values, such as {"dataset_dir": "/data"}.
        say: takes a line about each file of the section that is not used, about what is measured, and about cases that
            the weights were trained on.

    Returns:
        What `summary.json` holds.

    Raises:
        UsageError: an override is unknown, or the folder cannot be written to.
        LungsegError: the data or the weights cannot be used, or the disk is full.
    """
    file = weights_file(weights)
    settings = model_settings(file) | (overrides or {})
    settings |= {"output_dir": str(output), "split": split, "weights": str(file)}
    load_weights(file)
    lists = file.parent / RUN_SPLITS
    if lists.is_file():
        # Damaged ones are told now, and not after the work, when the report asks what the weights were trained on.
        read_split(lists)
        settings["data_source#run_splits"] = str(lists)
        settings.setdefault("data_source#patients", _patients(file.parent / "config.json"))
    files = [config_file("train"), config_file("evaluate")]
    settings["data_source#exclude"] = excluded_cases(read_config(files, settings), [split])
    usable_folder(output)
    workflow = build_workflow(files, settings, "validate#evaluator")
    with plain_errors():
        cases = workflow.parser.get_parsed_content("validate#dataset#data")
        say(_what_it_measures(split, len(cases), workflow.parser.get_parsed_content("data_source")))
        workflow.run()
    workflow.finalize()
    summary = json.loads((Path(output) / "summary.json").read_text())
    if summary["warning"]:
        say(f"Warning: {summary['warning']}")
    return summary


def _patients(config: Path) -> str | None:
    """Return the rule by which a run tells patients."""
    return read_config([config], {})["data_source"]["patients"] if config.is_file() else None


def _what_it_measures(split: str, count: int, source: dict) -> str:
    total = len(datalist(section="all", **source | {"exclude": []}))
    told = f"{count} of {total} pairs of image and mask"
    return f"Measuring {told}." if split == "all" else f"Measuring the {split} list, {told}; --split all takes all."
