# SPDX-License-Identifier: Apache-2.0
"""`lungseg evaluate`: the bundle's evaluate config on one section of a data set."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path

from lungseg.locate import config_file, model_settings, weights_file
from lungseg.workflow import errors_in_words, start


def evaluate(
    output: str | PathLike,
    split: str = "test",
    weights: str | PathLike | None = None,
    overrides: dict | None = None,
) -> dict:
    """Measure weights on a section of a data set.

    Args:
        output: folder for `cases.csv`, `summary.json`, pictures and `index.html`.
        split: "train", "validation", "test" or "all".
        weights: see :func:`lungseg.locate.weights_file`.
        overrides: items of the config and their values, such as {"dataset_dir": "/data"}.

    Returns:
        What `summary.json` holds.

    Raises:
        UsageError: an override is unknown.
        LungsegError: the data or the weights cannot be used.
    """
    file = weights_file(weights)
    settings = model_settings(file) | (overrides or {})
    settings |= {"output_dir": str(output), "split": split, "weights": str(file)}
    workflow = start([config_file("train"), config_file("evaluate")], settings, "train")
    with errors_in_words():
        workflow.run()
    workflow.finalize()
    return json.loads((Path(output) / "summary.json").read_text())
