# SPDX-License-Identifier: Apache-2.0
"""Write the network with its weights as ONNX and TorchScript files that give PyTorch's label maps."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch

from lungseg.inference.predictor import Predictor
from lungseg.io import find_radiographs, write_png
from lungseg.model.backends import EXPORT_FORMATS, Backend
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import usable_folder, writing_failed

# Width and height of the phantoms that replace radiographs: square, wide, tall; one, two and three windows.
_PHANTOMS = ((512, 512), (900, 500), (400, 1000), (1024, 1024))
_SUFFIXES = {"onnx": ".onnx", "torchscript": ".ts"}


@dataclass(frozen=True)
class Parity:
    """How far the lungs and the heart of an exported file are from PyTorch's, over a few radiographs.

    Attributes:
        name: the format, one of `EXPORT_FORMATS`.
        images: number of radiographs.
        mean, worst: share of the pixels that differ, 0 to 1: on average, and in the worst image.
        holds: less than 0.05 % of the pixels differ in every image.
    """

    name: str
    images: int
    mean: float
    worst: float

    @property
    def holds(self) -> bool:
        return self.worst < 0.0005

    def __str__(self) -> str:
        return f"{self.name}: {self.mean:.4%} of the pixels differ on average, {self.worst:.4%} at worst"


def export(
    output: str | PathLike[str],
    weights: str | PathLike[str] | None = None,
    formats: Sequence[str] = EXPORT_FORMATS,
    check: Iterable[str | PathLike[str]] = (),
    trust: bool = False,
) -> tuple[list[Path], list[Parity]]:
    """Write the network: windows (B, 1, s, s) float32 to logits (B, 3, s, s), or (B, 4, s, s) with the heart,
    with `image_size` s and any B.

    The files are `model.onnx` and `model.ts`.

    Args:
        output: the folder to write to.
        weights: see :func:`lungseg.model.paths.weights_file`.
        formats: among `EXPORT_FORMATS`.
        check: files and folders of radiographs whose label maps are compared; phantoms if there are none.
        trust: the config beside the weights may run code, as a program of the run's author would.

    Returns:
        The files, and how they compare.

    Raises:
        UsageError: a package is missing, the folder cannot be written to, or `check` holds no radiograph.
        LungsegError: the label maps of a file are not PyTorch's; then no file is written.
    """
    if "onnx" in formats:
        _require_onnx()
    check = list(check)
    radiographs = [path for path, _ in find_radiographs(check).radiographs] if check else []
    predictor = Predictor(weights, device="cpu", trust=trust)
    output = usable_folder(output)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=output) as folder:
            made = Path(folder, "made")
            made.mkdir()
            backends = {name: _WRITERS[name](predictor, made / f"model{_SUFFIXES[name]}") for name in formats}
            found = _compare(predictor, backends, radiographs or _phantoms(Path(folder)))
            if failed := [str(parity) for parity in found if not parity.holds]:
                raise LungsegError(
                    f"the exported network does not give PyTorch's label maps ({'; '.join(failed)})",
                    remedy="report it",
                    code="export-differs",
                )
            files = sorted(made.iterdir())
            for file in files:
                os.replace(file, output / file.name)
    except OSError as error:
        raise writing_failed(error, output / "model") from error
    return [output / file.name for file in files], found


def _require_onnx() -> None:
    # Without it, ONNX Runtime reports each use to its makers.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  (PyTorch's exporter needs it)
    except ImportError as error:
        remedy = 'install it with pip install "lungseg[onnx]"'
        raise UsageError(f"the package {error.name} is not installed", remedy=remedy, code="package-missing") from error
    # It warns about hardware that this machine does not have.
    onnxruntime.set_default_logger_severity(3)


def _write_onnx(predictor: Predictor, file: Path) -> Backend:
    torch.onnx.export(
        predictor.network,
        (torch.zeros(2, 1, *predictor.inferer.roi_size),),
        file,
        input_names=["image"],
        output_names=["pred"],
        dynamic_shapes=({0: torch.export.Dim("windows")},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return _onnx_backend(file)


def _onnx_backend(file: Path) -> Backend:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"image": images.contiguous().numpy()})[0])


def _write_torchscript(predictor: Predictor, file: Path) -> Backend:
    with torch.no_grad():
        # The network has only convolutions, so the trace does not depend on the size of the example.
        scripted = torch.jit.trace(  # type: ignore[no-untyped-call]
            predictor.network, torch.zeros(1, 1, *predictor.inferer.roi_size)
        )
    torch.jit.save(scripted, file)
    loaded: Backend = torch.jit.load(file)  # type: ignore[no-untyped-call]
    return loaded


_WRITERS = {"onnx": _write_onnx, "torchscript": _write_torchscript}


def _compare(predictor: Predictor, backends: dict[str, Backend], radiographs: Sequence[Path]) -> list[Parity]:
    shares: dict[str, list[float]] = {name: [] for name in backends}
    for path in radiographs:
        predictor.backend = predictor.network
        expected = predictor.predict(path).regions
        for name, predictor.backend in backends.items():
            shares[name].append(float((predictor.predict(path).regions != expected).mean()))
    return [Parity(name, len(values), sum(values) / len(values), max(values)) for name, values in shares.items()]


def _phantoms(folder: Path) -> list[Path]:
    from lungseg.data import phantom

    files = [folder / f"{number}.png" for number in range(len(_PHANTOMS))]
    for number, (file, size) in enumerate(zip(files, _PHANTOMS, strict=True)):
        write_png(file, phantom(number, size)[0])
    return files
