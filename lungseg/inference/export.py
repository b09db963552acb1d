# SPDX-License-Identifier: Apache-2.0
"""`lungseg export`: the network with its weights as ONNX and OpenVINO files that give PyTorch's label maps."""

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
from lungseg.model.backends import EXPORT_FORMATS, Engine, OpenVinoEngine, cpu_is_faster_in_bf16, import_openvino
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import usable_folder, writing_failed

# Width and height of the phantoms that stand in for radiographs: square, broad, tall; one, two and three windows.
_PHANTOMS = ((512, 512), (900, 500), (400, 1000), (1024, 1024))


@dataclass(frozen=True)
class Parity:
    """How far an exported file's label maps are from PyTorch's in single precision, over a few radiographs.

    Attributes:
        name: what was compared: "onnx fp32", "openvino fp32" or "openvino bf16".
        images: how many.
        mean, worst: share of the pixels that differ, 0 to 1: on average, and in the worst image.
        holds: in single precision, less than 0.05 % differ in every image; in bfloat16, less than 0.05 % on average
            and 0.5 % in the worst image.
    """

    name: str
    images: int
    mean: float
    worst: float

    @property
    def holds(self) -> bool:
        return self.worst < 0.0005 if self.name.endswith("fp32") else self.mean < 0.0005 and self.worst < 0.005

    def __str__(self) -> str:
        return f"{self.name}: {self.mean:.4%} of the pixels differ on average, {self.worst:.4%} at worst"


def export(
    output: str | PathLike,
    weights: str | PathLike | None = None,
    formats: Sequence[str] = EXPORT_FORMATS,
    check: Iterable[str | PathLike] = (),
) -> tuple[list[Path], list[Parity]]:
    """Write the network, which takes windows (B, 1, s, s) float32 to logits (B, 3, s, s) with `image_size` s.

    The files are `model.onnx`, and `model.xml` with `model.bin` made from it; any number of windows is taken at once.

    Args:
        output: the folder to write to.
        weights: see :func:`lungseg.model.paths.weights_file`.
        formats: among `EXPORT_FORMATS`.
        check: files and folders of radiographs to compare the label maps of. Where there are none, phantoms take their
            place, in single precision alone: the network is unsure of them, and bfloat16 shows more than it would.

    Returns:
        The files, and how they compare.

    Raises:
        UsageError: a package is missing, the folder cannot be written to, or there is nothing to check in `check`.
        LungsegError: a file's label maps are not PyTorch's; then none is written.
    """
    _require_packages(formats)
    check = list(check)
    radiographs = [path for path, _ in find_radiographs(check).radiographs] if check else []
    predictor = Predictor(weights, device="cpu")
    output = usable_folder(output)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=output) as folder:
            made = Path(folder, "made")
            made.mkdir()
            engines = _write(predictor, made, formats, bf16=bool(radiographs) and cpu_is_faster_in_bf16())
            found = _compare(predictor, engines, radiographs or _phantoms(Path(folder)))
            failed = [str(parity) for parity in found if not parity.holds]
            if failed:
                raise LungsegError(f"the exported network is not PyTorch's ({'; '.join(failed)})", remedy="report it")
            files = sorted(file for file in made.iterdir() if "onnx" in formats or file.suffix != ".onnx")
            for file in files:
                os.replace(file, output / file.name)
    except OSError as error:
        raise writing_failed(error, output / "model") from error
    return [output / file.name for file in files], found


def _require_packages(formats: Sequence[str]) -> None:
    if "openvino" in formats:
        import_openvino()
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  (PyTorch's exporter needs it)
    except ImportError as error:
        remedy = 'install it with pip install "lungseg[onnx]"'
        raise UsageError(f"the package {error.name} is not installed", remedy=remedy) from error
    # It warns of hardware that is not there.
    onnxruntime.set_default_logger_severity(3)


def _write(predictor: Predictor, folder: Path, formats: Sequence[str], bf16: bool) -> dict[str, Engine]:
    """Write the files; return what computes each, by name."""
    onnx = folder / "model.onnx"
    size = predictor.inferer.roi_size
    torch.onnx.export(
        predictor.network,
        (torch.zeros(2, 1, *size),),
        onnx,
        input_names=["image"],
        output_names=["pred"],
        dynamic_shapes=({0: torch.export.Dim("windows")},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    engines: dict[str, Engine] = {}
    if "onnx" in formats:
        engines["onnx fp32"] = _onnx_runtime(onnx)
    if "openvino" in formats:
        openvino = import_openvino()
        xml = folder / "model.xml"
        openvino.save_model(openvino.convert_model(onnx), xml, compress_to_fp16=False)
        engines["openvino fp32"] = OpenVinoEngine(xml)
        if bf16:
            engines["openvino bf16"] = OpenVinoEngine(xml, "bf16")
    return engines


def _onnx_runtime(file: Path) -> Engine:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"image": images.contiguous().numpy()})[0])


def _compare(predictor: Predictor, engines: dict[str, Engine], radiographs: Sequence[Path]) -> list[Parity]:
    shares: dict[str, list[float]] = {name: [] for name in engines}
    for path in radiographs:
        predictor.engine = predictor.network
        expected = predictor.predict(path).labels
        for name, predictor.engine in engines.items():
            shares[name].append(float((predictor.predict(path).labels != expected).mean()))
    return [Parity(name, len(values), sum(values) / len(values), max(values)) for name, values in shares.items()]


def _phantoms(folder: Path) -> list[Path]:
    from lungseg.data import phantom

    files = [folder / f"{number}.png" for number in range(len(_PHANTOMS))]
    for number, (file, size) in enumerate(zip(files, _PHANTOMS, strict=True)):
        write_png(file, phantom(number, size)[0])
    return files
