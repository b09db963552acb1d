# SPDX-License-Identifier: Apache-2.0
"""The curves and the settings of a training, for pages about its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lungseg.model.config import read_json
from lungseg.report.page import png_uri
from lungseg.utils.errors import LungsegError

# Items of a run's config that say how it was trained; none of them is a place on this machine.
_SHOWN = (
    *(
        "network_def",
        "image_size",
        "clahe",
        "loss",
        "optimizer",
        "lr_scheduler",
        "learning_rate",
        "batch_size",
        "epochs",
    ),
    *("patience", "seed", "amp", "threshold"),
)


def run_facts(folder: Path) -> dict[str, Any] | None:
    """Return what a page shows of the training in a run's folder.

    Args:
        folder: of the run.

    Returns:
        {"name": of the folder, "curves": URI of its `curves.png` or None, "settings": (name, value) pairs}; None if the
        folder is not that of a run.
    """
    if not (folder / "config.json").is_file() or not (folder / "history.json").is_file():
        return None
    try:
        config = read_json(folder / "config.json")
    except LungsegError:
        return None
    curves = folder / "curves.png"
    settings = [(key, _in_words(config[key])) for key in _SHOWN if key in config]
    if isinstance(config.get("init"), str):
        begun = Path(config["init"])
        settings.insert(1, ("init", f"{begun.parent.name}/{begun.name}"))
    uri = png_uri(curves.read_bytes()) if curves.is_file() else None
    return {"name": folder.name, "curves": uri, "settings": settings}


def _in_words(value: Any) -> str:
    """Write a component as `Name(argument=value, …)`, and other values as JSON."""
    if isinstance(value, dict) and "_target_" in value:
        name = str(value["_target_"]).rpartition(".")[2]
        return f"{name}({', '.join(f'{key}={_in_words(part)}' for key, part in value.items() if key != '_target_')})"
    return value if isinstance(value, str) else json.dumps(value)
