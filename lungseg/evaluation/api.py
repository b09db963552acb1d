# SPDX-License-Identifier: Apache-2.0
"""`lungseg.evaluate`: the command `lungseg evaluate` as a function."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, Unpack

from lungseg.data.options import DataOptions, data_items
from lungseg.utils.imports import import_monai_without_deploy

import_monai_without_deploy()

from lungseg.evaluation import evaluate as evaluation  # noqa: E402


def evaluate(
    data: str | PathLike[str] | None = None,
    output: str | PathLike[str] = "evaluation",
    *,
    weights: str | PathLike[str] | None = None,
    split: str = "test",
    device: str = "auto",
    config: Mapping[str, Any] | None = None,
    trust: bool = False,
    **options: Unpack[DataOptions],
) -> dict[str, Any]:
    """Measure weights on radiographs with masks, as the command `lungseg evaluate` does.

    Args:
        data: folder of the data set.
        output: folder for `cases.csv`, `summary.json`, pictures and `index.html`.
        weights: None or "shipped" for the shipped weights, "open", a file, or the folder of a run.
        split: the list that is measured: "train", "validation", "test" or "all".
        device: "auto", "cpu", "cuda" or "cuda:1".
        config: further items of `evaluate.json` and their values, such as {"threshold": 0.5}.
        trust: the config beside the weights may run code.
        options: see :class:`lungseg.data.options.DataOptions`.

    Returns:
        The content of `summary.json`: `["overall"]["metrics"]["dice"]["mean"]` is the mean Dice of both lungs.

    Raises:
        UsageError: no data set is named, or an option or an item is unknown.
        LungsegError: the data or the weights cannot be used, or the disk is full.
    """
    items = data_items(data, options) | dict(config or {})
    return evaluation.evaluate(output, split, weights, items, trust, device)
