# SPDX-License-Identifier: Apache-2.0
"""Measure weights with the bundle's `evaluate.json`: `lungseg evaluate`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from lungseg.data import datalist
from lungseg.data.check import excluded_cases
from lungseg.data.splits import RUN_SPLITS, read_split
from lungseg.inference.devices import choose_device
from lungseg.model.config import build_workflow, plain_errors, read_config, read_json
from lungseg.model.paths import config_file, weights_file
from lungseg.model.run_settings import model_settings
from lungseg.model.trust import check_values_only
from lungseg.model.weights import load_weights
from lungseg.utils.files import only_user, remove_abandoned, usable_folder

_log = logging.getLogger(__name__)


def evaluate(
    output: str | PathLike[str],
    split: str = "test",
    weights: str | PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    trust: bool = False,
    device: str = "auto",
    on_case: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure weights on a section of a data set.

    For weights in a run's folder, cases stay in the lists of that run, unless the overrides name a splits file. New
    images of a patient follow the patient's other images, by the run's own patient rule.

    A stopped evaluation goes on: finished cases in the folder are kept if their files, the weights, the settings and
    the version of lungseg are the same.

    Args:
        output: folder for `cases.jsonl`, `labels` and `pictures` (see :mod:`lungseg.evaluation.records`), `cases.csv`,
            `summary.json` and `index.html`.
        split: "train", "validation", "test" or "all".
        weights: see :func:`lungseg.model.paths.weights_file`.
        overrides: items of the config and their values, such as {"dataset_dir": "/data"}.
        trust: the config beside the weights may run code, as a program of the run's author would.
        device: see :func:`lungseg.inference.devices.choose_device`.
        on_case: is called after each case with the number of cases that this call has measured, and has to measure.

    Returns:
        The content of `summary.json`.

    Raises:
        UsageError: an override is unknown, the device is not available, or the folder cannot be written to or is in use
            by another evaluation.
        LungsegError: the data or the weights cannot be used, their config would run code (config-runs-code), or the
            disk is full.
    """
    file = weights_file(weights)
    settings = model_settings(file, trust) | dict(overrides or {})
    # `on_case` shows how far it is.
    settings |= {"output_dir": str(output), "split": split, "weights": str(file), "progress": False}
    if device != "auto":
        settings["device"] = f"$torch.device('{choose_device(device)}')"
    load_weights(file)
    lists = file.parent / RUN_SPLITS
    if lists.is_file():
        # Damaged lists raise their error now, not at the end, when the report needs them.
        read_split(lists)
        settings["data_source#run_splits"] = str(lists)
        settings.setdefault("data_source#patients", _patients(file.parent / "config.json", trust))
    files = [config_file("train"), config_file("evaluate")]
    settings["data_source#exclude"] = excluded_cases(read_config(files, settings), [split])
    folder = usable_folder(output)
    # Settings that nothing can be built from leave nothing behind, not even the lock.
    workflow = build_workflow(files, settings, "validate#evaluator")
    with only_user(folder / "cases.lock"), plain_errors():
        remove_abandoned(folder)
        cases, source = (workflow.parser.get_parsed_content(name) for name in ("cases", "data_source"))
        workflow.parser.get_parsed_content("evaluation").on_case = on_case
        _log.info("%s", _describe(split, len(cases), source))
        workflow.run()
    workflow.finalize()
    summary: dict[str, Any] = json.loads((Path(output) / "summary.json").read_text())
    return summary


def _patients(config: Path, trust: bool) -> Any:
    """Return the patient rule of a run, or None if its config states none."""
    if not config.is_file():
        return None
    source = read_json(config).get("data_source")
    rule = {"patients": source.get("patients") if isinstance(source, dict) else None}
    if not trust:
        check_values_only({"data_source": rule}, {"data_source": {"patients": None}}, config)
    return rule["patients"]


def _describe(split: str, count: int, source: dict[str, Any]) -> str:
    total = len(datalist(section="all", **source | {"exclude": []}))
    pairs = f"{count} of {total} pairs of image and mask"
    return f"Measuring {pairs}." if split == "all" else f"Measuring the {split} list, {pairs}; --split all takes all."
