# SPDX-License-Identifier: Apache-2.0
"""Find the bundle: in the installed package, in the source tree, or around an unzipped package."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

from lungseg.utils.errors import LungsegError

BUNDLE_NAME = "lung_cxr_segmentation"


def bundle_root() -> Path:
    """Return the folder that holds the bundle's `configs` and `models`.

    Raises:
        LungsegError: the package was installed without its bundle.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "bundle", package.parent / "bundle", package.parent):
        if (folder / "configs" / "inference.json").is_file():
            return folder
    raise LungsegError(
        "the package was installed without its bundle", package, "install lungseg again", code="bundle-missing"
    )


def config_file(name: str) -> Path:
    """Return the path of one of the bundle's configs, such as "train"."""
    return bundle_root() / "configs" / f"{name}.json"


def lists_file(weights: str | PathLike[str]) -> Path:
    """Return the path of the lists of the cases that weights were trained on, which need not exist.

    The lists of a run lie beside its weights, those of shipped weights among the bundle's documents.
    """
    path, root = Path(weights), bundle_root()
    if path.resolve().parent == (root / "models").resolve():
        return root / "docs" / f"{path.stem}_splits.json"
    return path.parent / "splits.json"


def weights_file(choice: str | PathLike[str] | None = None) -> Path:
    """Return the weight file that a user means.

    Args:
        choice: None or "shipped" for the shipped weights, "open" for those that saw freely licensed data only, or a
            file, or a run's folder, whose best weights are taken.
    """
    models = bundle_root() / "models"
    if choice is None or choice == "shipped":
        return models / "model.pt"
    if choice == "open":
        # The bundle app of MONAI Label takes the weight file with the shortest name.
        return models / "model_open.pt"
    path = Path(choice)
    return path / "model.pt" if os.path.isdir(path) else path
