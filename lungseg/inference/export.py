# SPDX-License-Identifier: Apache-2.0
"""Write the network, from the picture to the probabilities, as ONNX and TorchScript files for other programs."""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from monai.data import save_net_with_metadata

from lungseg.inference.export_parity import Computes, Parity, check_parity
from lungseg.inference.predictor import Predictor
from lungseg.inference.whole_picture import WholePicture
from lungseg.io import find_radiographs
from lungseg.model.backends import EXPORT_FORMATS
from lungseg.model.weights import weights_hash
from lungseg.transforms import AsNativeRegionsd, CLAHEd, ResizeShorterSided, ScaleIntensityRangePercentilesFastd
from lungseg.utils.errors import LungsegError, UsageError, first_line
from lungseg.utils.files import usable_folder, writing_failed
from lungseg.version import __version__

_NAMES = {"onnx": "model.onnx", "torchscript": "model.ts"}
# What a user can do about a file that was not written.
_REMEDIES = {
    "onnx": 'update PyTorch and its exporter (pip install --upgrade torch "lungseg[onnx]"), or use '
    "--format torchscript",
    "torchscript": "update PyTorch (pip install --upgrade torch), or use --format onnx",
}
_LUNGS = ["background", "right lung", "left lung"]


@dataclass(frozen=True)
class Exported:
    """The outcome of one format.

    Attributes:
        format: one of `EXPORT_FORMATS`.
        file: the file; None if it was not written.
        parity: how the file compares with PyTorch; None if it could not be made or run.
        error: why it was not written.
    """

    format: str
    file: Path | None = None
    parity: Parity | None = None
    error: LungsegError | None = None


def export(
    output: str | PathLike[str],
    weights: str | PathLike[str] | None = None,
    formats: Sequence[str] = EXPORT_FORMATS,
    check: Iterable[str | PathLike[str]] = (),
    trust: bool = False,
) -> list[Exported]:
    """Write `model.onnx` and `model.ts`: pictures (B, 1, H, W) to probabilities (B, 3, H, W), see `WholePicture`.

    Each file is compared with PyTorch by itself, and is written if it computes the same. The files state all that their
    user needs, see docs/export.md.

    Args:
        output: the folder to write to.
        weights: see :func:`lungseg.model.paths.weights_file`.
        formats: among `EXPORT_FORMATS`.
        check: files and folders of radiographs on which the files are compared, see `check_parity`.
        trust: the config beside the weights may run code, as a program of the run's author would.

    Returns:
        The outcome of each format, in their order.

    Raises:
        UsageError: a package is missing, the folder cannot be written to, `check` holds no radiograph, or the network
            needs input that a file cannot compute (export-clahe).
        LungsegError: no radiograph can be read.
    """
    if "onnx" in formats:
        _require_onnx()
    check = list(check)
    radiographs = [path for path, _ in find_radiographs(check).radiographs] if check else []
    predictor = Predictor(weights, device="cpu", trust=trust)
    network = whole_picture(predictor)
    description = _describe(predictor, network)
    output = usable_folder(output)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=output) as folder:
            made: dict[str, Computes] = {}
            failed: dict[str, Exception] = {}
            for name in formats:
                try:
                    made[name] = _WRITERS[name](network, Path(folder, _NAMES[name]), description)
                except OSError:
                    raise
                except Exception as error:  # the exporters raise any error for a network that they do not support
                    failed[name] = error
            compared = failed | check_parity(made, network, description["threshold"], radiographs)
            outcomes = [_outcome(name, compared[name], output) for name in formats]
            for outcome in outcomes:
                if outcome.file:
                    os.replace(Path(folder, outcome.file.name), outcome.file)
    except OSError as error:
        raise writing_failed(error, output / "model") from error
    return outcomes


def _describe(predictor: Predictor, network: WholePicture) -> dict[str, Any]:
    """Return all that a user of an exported file must know, as JSON can hold it; it lies in the file."""
    heart, threshold = predictor.knows_heart, _threshold(predictor)
    return {
        "input": "image: (B, 1, H, W) float32, any size; H rows from the top, W columns from the left; grey values of "
        "any range, bright is dense",
        "output": "probabilities 0 to 1: "
        + ", ".join(f"{name} (B, {len(channels)}, H, W)" for name, channels in _channels(heart).items()),
        "channels": _channels(heart),
        "sides": "right and left are the patient's: the right lung lies on the left of the picture",
        "extent": "visible" if heart else "that of the training masks",
        "threshold": threshold,
        "rule": f"lung where right + left > {threshold}, of the more probable side",
        "percentiles": list(network.percentiles),
        "image_size": network.size,
        "precision": "fp32",
        "weights_sha256": weights_hash(predictor.weights),
        "lungseg_version": __version__,
        "license": "code: Apache-2.0; weights: the terms of the data that they saw, see lungseg's data_license.txt",
        "notice": "Not a medical device. For research; do not use it for diagnosis or treatment.",
    }


def _channels(heart: bool) -> dict[str, list[str]]:
    return {"pred": _LUNGS, "full": _LUNGS, "heart": ["heart"]} if heart else {"pred": _LUNGS}


def _threshold(predictor: Predictor) -> float:
    (regions,) = (step for step in predictor.groups["regions"].transforms if isinstance(step, AsNativeRegionsd))
    threshold: float = regions.threshold
    return threshold


def whole_picture(predictor: Predictor) -> WholePicture:
    """Return a predictor's network with the arithmetic of its config around it.

    Raises:
        UsageError: the config has a step that no exported file computes (export-clahe).
    """
    steps = {type(step): step for step in predictor.groups["prepare"].transforms}
    if CLAHEd in steps:
        raise UsageError(
            "this network was trained on pictures with equalised contrast (clahe), which no exported file computes",
            predictor.weights,
            "train with clahe=false, or export the network alone with python -m monai.bundle onnx_export",
            code="export-clahe",
        )
    resize, scale = (steps[kind] for kind in (ResizeShorterSided, ScaleIntensityRangePercentilesFastd))
    whole = WholePicture(predictor.network, resize.resizer, scale, predictor.inferer, predictor.knows_heart)
    # So that a user of a file need not switch gradients off.
    return whole.eval().requires_grad_(False)


def _outcome(name: str, found: Parity | Exception, output: Path) -> Exported:
    file = output / _NAMES[name]
    if isinstance(found, Exception):
        what = f"it was not written, because the exporter or the file failed ({first_line(found)})"
        return Exported(name, error=LungsegError(what, file, _REMEDIES[name], code="export-failed"))
    if found.holds:
        return Exported(name, file, found)
    what = f"it was not written, because its {found}, most on {found.picture}"
    return Exported(name, None, found, LungsegError(what, file, _REMEDIES[name], code="export-differs"))


def _require_onnx() -> None:
    # Without it, ONNX Runtime reports each use to its makers.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  (PyTorch's exporter needs it)
    except ImportError as error:
        remedy = 'install it with pip install "lungseg[onnx]"'
        raise UsageError(f"the package {error.name} is not installed", remedy=remedy, code="package-missing") from error
    # It warns about hardware that this machine does not have, and PyTorch about a package that no network here uses.
    onnxruntime.set_default_logger_severity(3)
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)


def _write_onnx(network: WholePicture, file: Path, description: dict[str, Any]) -> Computes:
    names = list(description["channels"])
    sizes = {0: torch.export.Dim("batch"), 2: torch.export.Dim("height"), 3: torch.export.Dim("width")}
    # Neither square nor one window, so that nothing is taken for a constant.
    program = torch.onnx.export(
        network,
        (torch.rand(2, 1, 7 * network.size, 3 * network.size),),
        input_names=["image"],
        output_names=names,
        dynamic_shapes=(sizes,),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    assert program is not None
    for key, value in description.items():
        program.model.metadata_props[key] = value if isinstance(value, str) else json.dumps(value)
    program.save(file)
    return _run_onnx(file, names)


def _run_onnx(file: Path, names: list[str]) -> Computes:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def compute(image: torch.Tensor) -> dict[str, torch.Tensor]:
        return dict(zip(names, map(torch.from_numpy, session.run(names, {"image": image.numpy()})), strict=True))

    return compute


def _write_torchscript(network: WholePicture, file: Path, description: dict[str, Any]) -> Computes:
    with torch.no_grad():
        example = torch.zeros(1, 1, network.size, network.size)
        # Windows have one size, so a trace of the network is enough, and no network needs to be compilable.
        traced = copy.deepcopy(network)
        traced.network = torch.jit.trace(network.network, example)  # type: ignore[no-untyped-call]
    content = io.BytesIO()
    # To memory first: on a full disk PyTorch raises an error about its archive instead.
    save_net_with_metadata(torch.jit.script(traced), content, include_config_vals=False, meta_values=description)
    file.write_bytes(content.getbuffer())
    loaded: Computes = torch.jit.load(file)  # type: ignore[no-untyped-call]
    return loaded


_WRITERS = {"onnx": _write_onnx, "torchscript": _write_torchscript}
