# SPDX-License-Identifier: Apache-2.0
"""A bundle that a user names: its folder, or the TorchScript file that `monai.bundle ckpt_export` made from it."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from lungseg.model.config import read_json
from lungseg.model.paths import bundle_root, config_file
from lungseg.model.trust import REMEDY, check_values_only
from lungseg.utils.errors import LungsegError, UsageError, first_line

_CONFIG, _METADATA = "inference.json", "metadata.json"


@dataclass(frozen=True)
class Bundle:
    """Everything that a bundle's inference needs.

    Attributes:
        root: folder with the other models, such as the one that estimates quality.
        config: content of `inference.json`.
        version: the bundle's version.
        weights: file of the network's weights.
        network: the network itself, on the CPU, if the file holds one.
        trusted: its configs may run code of their own.
    """

    root: Path
    config: dict[str, Any]
    version: str
    weights: Path
    network: torch.nn.Module | None = None
    trusted: bool = False


def open_bundle(path: str | PathLike[str] | None = None, trust: bool = False) -> Bundle:
    """Open a bundle's folder or TorchScript file; None opens this package's bundle.

    A TorchScript file holds the network and the configs; the models beside it are those of this package.

    Args:
        path: the folder or the file.
        trust: run the code that the bundle brings, as you would run a program of its author. Without that, a folder's
            `inference.json` may differ from this package's in values only, and a TorchScript file, which is a
            program, is refused. This package's own bundle is trusted.

    Raises:
        UsageError: the path is neither.
        LungsegError: the bundle is damaged, or brings code and is not trusted (config-runs-code,
            torchscript-runs-code).
    """
    path = bundle_root() if path is None else _within(Path(path))
    if path.is_dir():
        return _open_folder(path, trust)
    if not path.is_file():
        raise UsageError(
            "there is no such bundle", path, "give the folder that holds configs and models", code="no-such-bundle"
        )
    return _open_torchscript(path, trust)


def _within(path: Path) -> Path:
    """Return the only model in a folder of models, as packages of MONAI Deploy have them, else the path itself."""
    models = [file.parent.parent for file in path.glob(f"*/configs/{_CONFIG}")] + list(path.glob("*/*.ts"))
    return models[0] if len(models) == 1 else path


def _open_folder(root: Path, trust: bool) -> Bundle:
    config, metadata = (root / "configs" / name for name in (_CONFIG, _METADATA))
    if not config.is_file():
        raise UsageError(
            "the folder holds no bundle", root, f"give the folder that holds configs/{_CONFIG}", code="no-such-bundle"
        )
    content, version = read_json(config), str(read_json(metadata).get("version"))
    trusted = trust or root.resolve() == bundle_root().resolve()
    if not trusted:
        check_values_only(content, read_json(config_file("inference")), config)
    return Bundle(root, content, version, root / "models" / "model.pt", trusted=trusted)


def _open_torchscript(path: Path, trust: bool) -> Bundle:
    from monai.data import load_net_with_metadata

    names: list[str] = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
    if any(name.endswith(f"configs/{_CONFIG}") for name in names):
        raise UsageError(
            "this is a packed bundle, not a TorchScript file",
            path,
            "unzip it and give its folder",
            code="not-torchscript",
        )
    if not any("/code/" in name for name in names):
        raise UsageError(
            "this is not a TorchScript file",
            path,
            "give a bundle's folder or a file that ckpt_export wrote",
            code="not-torchscript",
        )
    if not trust:
        what = "a TorchScript file is a program, which runs when it is opened"
        raise LungsegError(what, path, REMEDY, code="torchscript-runs-code")
    try:
        network, metadata, more = load_net_with_metadata(str(path), torch.device("cpu"), more_extra_files=[_CONFIG])
        config = json.loads(more[_CONFIG])
    except Exception as error:  # torch raises many types for damaged files
        remedy = f"make it with python -m monai.bundle ckpt_export and --config_file configs/{_CONFIG}"
        raise LungsegError(
            f"the TorchScript file cannot be used ({first_line(error)})", path, remedy, code="torchscript-damaged"
        ) from error
    return Bundle(bundle_root(), config, metadata["version"], path, network, trusted=True)
