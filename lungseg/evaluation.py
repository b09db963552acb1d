# SPDX-License-Identifier: Apache-2.0
"""`lungseg evaluate`: the bundle's evaluate config on one section of a data set."""

from __future__ import annotations

import json
from collections.abc import Callable
from os import PathLike
from pathlib import Path

from lungseg.files import usable_folder
from lungseg.locate import config_file, model_settings, weights_file
from lungseg.weights import load_weights
from lungseg.workflow import errors_in_words, left_out, read_config, start


def evaluate(
    output: str | PathLike,
    split: str = "test",
    weights: str | PathLike | None = None,
    overrides: dict | None = None,
    say: Callable[[str], None] = print,
) -> dict:
    """Measure weights on a section of a data set.

    Args:
        output: folder for `cases.csv`, `summary.json`, pictures and `index.html`.
        split: "train", "validation", "test" or "all".
        weights: see :func:`lungseg.locate.weights_file`.
        overrides: items of the config and their values, such as {"dataset_dir": "/data"}.
        say: takes a line about each file of the section that is not used.

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
    files = [config_file("train"), config_file("evaluate")]
    settings["data_source#exclude"] = left_out(read_config(files, settings), [split], say)
    usable_folder(output)
    workflow = start(files, settings, "validate#evaluator")
    with errors_in_words():
        workflow.run()
    workflow.finalize()
    return json.loads((Path(output) / "summary.json").read_text())
