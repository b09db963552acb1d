# SPDX-License-Identifier: Apache-2.0
"""The handler with which the bundle's `evaluate.json` measures and reports."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from lungseg.data.labels import NOT_STATED, SIDE_UNKNOWN
from lungseg.data.splits import set_of
from lungseg.data.targets import HEARTS
from lungseg.io import read_radiograph
from lungseg.metrics.agreement import case_metrics
from lungseg.model.weights import weights_hash
from lungseg.report.evaluation import write_evaluation
from lungseg.training.comparison import compared, stated_extent
from lungseg.training.handlers import is_main_process
from lungseg.training.provenance import trained_on
from lungseg.transforms.regions import HEART
from lungseg.utils.errors import LungsegError
from lungseg.utils.text import shorten_list

if TYPE_CHECKING:
    from ignite.engine import Engine

# Name -> row, compressed label maps and their shape.
_Cases = dict[str, tuple[dict[str, Any], bytes, tuple[int, ...]]]

_log = logging.getLogger(__name__)

_REFERENCE_BITS = 2
# Lung of unknown laterality in a packed label map.
_UNKNOWN = 3

_NAMES_SHOWN = 3


class EvaluationHandler:
    """Measure each case of a MONAI SupervisedEvaluator and write the evaluation at the end.

    After postprocessing, an item holds `image` (its meta `filename_or_obj` and `spacing`, (row, column) in
    millimetres, NaN if unknown), `pred`, the regions (1, W, H) of :class:`lungseg.transforms.AsRegionsd`, and `label`,
    the targets (3, W, H) of :func:`lungseg.data.targets.read_targets`, at the image's native size. `name` and `set` are
    optional. The lungs are compared in the extent that the reference states, and the heart where it states one. Under
    torchrun each process measures its cases and the first one writes.

    Args:
        output_dir: see `write_evaluation`.
        weights: file of the weights that are evaluated; it is recorded and logged.
        title: the page's title.
        data: the data set's folder, for the record.
        excluded: names of cases that could not be used, for the record.

    Attributes:
        summary: the result of `write_evaluation`, in the process that wrote; None before.
    """

    def __init__(
        self,
        output_dir: str | PathLike[str],
        weights: str | PathLike[str] | None = None,
        title: str = "Evaluation",
        data: str | None = None,
        excluded: Sequence[str] = (),
    ) -> None:
        self.output_dir, self.weights, self.title, self.data = Path(output_dir), weights, title, data
        self.excluded = excluded
        self.summary: dict[str, Any] | None = None
        self._cases: _Cases = {}

    def attach(self, engine: Engine) -> None:
        """Attach to a MONAI SupervisedEvaluator that decollates its batches."""
        from ignite.engine import Events

        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._measure)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _start(self, engine: Engine) -> None:
        self.summary, self._cases = None, {}
        if self.weights is not None and is_main_process():
            _log.info("evaluated weights: %s, SHA-256 %s", self.weights, weights_hash(self.weights))

    def _measure(self, engine: Any) -> None:
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            meta = item["image"].meta
            file = str(meta["filename_or_obj"])
            targets = torch.as_tensor(output["label"])
            try:
                pred, reference = (_height_first(one) for one in compared(output["pred"], targets))
                figures = case_metrics(pred, reference, _spacing(meta)) | _heart(output["pred"], targets)
            except LungsegError as error:
                raise LungsegError(error.what, file, error.remedy, code=error.code) from error
            name = item.get("name", Path(file).stem)
            facts = {"name": name, "set": item.get("set", set_of(name)), "extent": stated_extent(targets), "file": file}
            row = facts | figures
            # Only at the end is it known which cases are drawn; compressed label maps take little memory.
            both = pred | np.minimum(reference, _UNKNOWN) << _REFERENCE_BITS
            self._cases[name] = (row, zlib.compress(both.tobytes(), 1), pred.shape)

    def _write(self, engine: Engine) -> None:
        cases = self._gather()
        if cases is None:
            return

        def load_case(row: dict[str, Any]) -> tuple[NDArray[Any], NDArray[np.uint8], NDArray[np.uint8]]:
            _, packed, shape = cases[row["name"]]
            both = np.frombuffer(zlib.decompress(packed), dtype=np.uint8).reshape(shape)
            reference = both >> _REFERENCE_BITS
            pred = (both - (reference << _REFERENCE_BITS)).astype(np.uint8)
            shown = np.where(reference == _UNKNOWN, SIDE_UNKNOWN, reference).astype(np.uint8)
            return read_radiograph(row["file"]).pixels, pred, shown

        rows = [row for row, *_ in cases.values()]
        warning = _warning(rows, self.weights)
        facts = (self.title, self.weights, self.data, self.excluded, warning)
        self.summary = write_evaluation(rows, self.output_dir, load_case, *facts)
        if warning:
            _log.warning("%s", warning)
        _log.info("evaluation of %d images: %s", len(rows), self.output_dir / "index.html")

    def _gather(self) -> _Cases | None:
        """Return the cases of all processes in the first one, None in the others; a repeated case counts once."""
        import torch.distributed as dist

        if not (dist.is_available() and dist.is_initialized()):
            return self._cases
        parts: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(parts, self._cases)
        return {name: case for part in parts for name, case in part.items()} if dist.get_rank() == 0 else None


def _heart(regions: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    """Return the Dice of the heart, if the reference states one."""
    reference = targets[HEARTS]
    if (reference == NOT_STATED).any():
        return {}
    found, heart = torch.as_tensor(regions)[0].to(torch.uint8) & HEART > 0, reference > 0
    total = int(found.sum() + heart.sum())
    return {"dice_heart": 2 * int((found & heart).sum()) / total if total else 1.0}


def _height_first(label_map: torch.Tensor) -> NDArray[np.uint8]:
    """Turn a label map tensor (1, W, H) of any real dtype into an array (H, W) uint8."""
    return np.ascontiguousarray(np.asarray(label_map[0].detach().cpu()).T.astype(np.uint8))


def _spacing(meta: dict[str, Any]) -> tuple[float, float] | None:
    spacing = np.asarray(meta.get("spacing", np.nan), dtype=np.float64).ravel()
    return (float(spacing[0]), float(spacing[1])) if spacing.size == 2 and np.isfinite(spacing).all() else None


def _warning(rows: list[dict[str, Any]], weights: str | PathLike[str] | None) -> str | None:
    names = trained_on(weights, (row["name"] for row in rows)) if weights is not None else []
    if not names:
        return None
    return (
        f"{len(names)} of the {len(rows)} cases have the names of cases that the weights were trained on "
        f"({shorten_list(names, _NAMES_SHOWN)}): unless they are other radiographs, their results are too good."
    )
