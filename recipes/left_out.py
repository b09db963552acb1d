# SPDX-License-Identifier: Apache-2.0
"""`python -m recipes.left_out SOURCE -o runs/without_SOURCE`: train without one source, from random weights.

The run has the other sources of `recipes/start.json` and fewer steps. Its results on the source that it has not seen
are those of a further hospital: for the published table, and to fit the estimate of quality. They are free of
non-commercial data. No run is needed for Shenzhen, which the open weights have not seen.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lungseg.utils.errors import UsageError
from recipes.command import add_trial, parser, run

_EPOCHS = 12


def main(arguments: list[str] | None = None) -> None:
    """Train one run."""
    options = parser("recipes.left_out", "Train without one source, from random weights.")
    add_trial(options)
    options.add_argument("source", help="name of the source that is left out, such as hearts")
    options.add_argument("-o", "--output", required=True, help="folder of the run")
    options = options.parse_args(arguments)
    from lungseg.training.train import train

    train(options.output, overrides(options.source, options.trial) | {"dataset_dir": options.data})


def overrides(source: str, trial: bool = False) -> dict:
    """Return the items of `train.json` of a run without `source`.

    Raises:
        UsageError: there is no such source.
    """
    recipe = json.loads(Path(__file__).with_name("start.json").read_text(encoding="utf-8"))
    sources = {one["name"]: one for one in recipe["data_source#sources"]}
    if source not in sources:
        what = f"there is no source called {source!r}"
        raise UsageError(what, remedy=f"use {', '.join(sources)}", code="source-unknown")
    del sources[source]
    epochs = 1 if trial else _EPOCHS
    steps = {"epochs": epochs, "val_interval": epochs, "patience": epochs, "num_workers": 0}
    return recipe | steps | {"data_source#sources": list(sources.values())} | ({"epoch_size": 24} if trial else {})


if __name__ == "__main__":
    sys.exit(run(main))
