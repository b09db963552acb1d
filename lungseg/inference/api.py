# SPDX-License-Identifier: Apache-2.0
"""The public functions of the package."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

from lungseg.utils.imports import import_monai_without_deploy

import_monai_without_deploy()

from lungseg.inference.devices import choose_device  # noqa: E402
from lungseg.inference.export import export  # noqa: E402
from lungseg.inference.predict import predict  # noqa: E402
from lungseg.inference.predictor import Prediction, Predictor  # noqa: E402
from lungseg.model.paths import weights_file  # noqa: E402
from lungseg.report.table import Row  # noqa: E402

__all__ = ["Prediction", "Predictor", "export", "load", "predict_folder"]

# Versions of one file, or a few files that a script compares.
_KEPT = 4
_lock = threading.Lock()


def load(
    weights: str | PathLike[str] | None = None,
    device: str = "auto",
    precision: str = "fp32",
    *,
    extent: str = "visible",
    heart: bool = False,
    ctr: str = "auto",
    trust: bool = False,
) -> Predictor:
    """Load the networks, or return those of an earlier call with the same arguments if the files have not changed.

    Args:
        weights: None or "shipped" for the shipped weights, "open" for those that saw freely licensed data only, a file,
            or the folder of a training run.
        device: "auto", "cpu", "cuda" or "cuda:1".
        precision: "fp32", or "bf16" where the processor multiplies bfloat16 in hardware.
        extent, heart, ctr, trust: see :class:`Predictor`.

    Raises:
        UsageError: the device or the precision is not supported here, or the weights do not know the heart.
        LungsegError: the weights are missing, damaged or another network's, or their config would run code.
    """
    file = weights_file(weights).absolute()
    # One thread loads; the others wait.
    with _lock:
        return _load(file, _state(file), str(choose_device(device)), precision, extent, heart, ctr, trust)


@lru_cache(maxsize=_KEPT)
def _load(
    file: Path, state: object, device: str, precision: str, extent: str, heart: bool, ctr: str, trust: bool
) -> Predictor:
    return Predictor(file, device, precision=precision, extent=extent, heart=heart, ctr=ctr, trust=trust)


def _state(weights: Path) -> tuple[tuple[int, int] | None, ...]:
    """Return file facts that change with the content of the weights and of the config beside them."""
    return tuple(_stat(file) for file in (weights, weights.parent / "config.json"))


def _stat(file: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(file)
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size


def predict_folder(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]], output: str | PathLike[str], **options: Any
) -> list[Row]:
    """Segment files and folders and write the results, as the command `lungseg predict` does.

    Args:
        inputs: a file or a folder, or several.
        output: folder for the results.
        options: see :func:`lungseg.inference.predict.predict`.

    Returns:
        A row for each radiograph, in the order of the inputs.

    Raises:
        UsageError: the inputs, the output folder or an option cannot be used.
        LungsegError: the weights cannot be used, or the disk is full.
    """
    return predict(inputs, output, **options)
