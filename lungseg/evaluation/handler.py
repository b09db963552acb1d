# SPDX-License-Identifier: Apache-2.0
"""The handler with which the bundle's `evaluate.json` measures and reports."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from lungseg.data.labels import NOT_STATED
from lungseg.data.splits import set_of
from lungseg.data.targets import HEARTS
from lungseg.evaluation.fingerprint import fingerprint
from lungseg.evaluation.records import (
    MeasuredCase,
    append_case,
    inputs_hash,
    keep_only,
    labels_file,
    split_finished,
)
from lungseg.io import read_radiograph
from lungseg.io.png import encode_png
from lungseg.metrics.agreement import case_metrics
from lungseg.model.weights import weights_hash
from lungseg.report.evaluation import picture_file, write_evaluation
from lungseg.report.outlines import find_outlines
from lungseg.report.thumbnails import encode_thumbnail
from lungseg.training.comparison import compared, stated_extent
from lungseg.training.provenance import trained_on
from lungseg.transforms.regions import HEART
from lungseg.utils.distributed import Processes
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path
from lungseg.utils.text import shorten_list
from lungseg.version import __version__

if TYPE_CHECKING:
    from ignite.engine import Engine
    from monai.engines import Evaluator

_log = logging.getLogger(__name__)

_NAMES_SHOWN = 3


class EvaluationHandler:
    """Measure the cases of a MONAI SupervisedEvaluator, keep each finished one, and write the evaluation at the end.

    After postprocessing, an item holds `image` (its meta `filename_or_obj` and `spacing`, (row, column) in
    millimetres, NaN if unknown), `pred`, the regions (1, W, H) of :class:`lungseg.transforms.AsRegionsd`, and `label`,
    the targets (3, W, H) of :func:`lungseg.data.targets.read_targets`, at the image's native size. `name` and `set` are
    optional. The lungs are compared in the extent that the reference states, and the heart where it states one. Under
    torchrun each process measures its cases and the first one writes; they share the folder.

    Args:
        output_dir: the folder of the evaluation, see :mod:`lungseg.evaluation.records` and `write_evaluation`.
        weights: file of the weights that are evaluated; it is recorded and logged.
        title: the page's title.
        data: the data set's folder, for the record.
        excluded: names of cases that could not be used, for the record.
        cases: all cases, as :func:`lungseg.data.datalist` returns them. Without them no finished case is known again.
        made_by: what the figures depend on besides the cases, such as network, transforms and inferer.

    Attributes:
        summary: the result of `write_evaluation`, in the process that wrote; None before.
        on_case: is called after each case with the number of cases that this run has measured, and has to measure.
    """

    def __init__(
        self,
        output_dir: str | PathLike[str],
        weights: str | PathLike[str] | None = None,
        title: str = "Evaluation",
        data: str | None = None,
        excluded: Sequence[str] = (),
        cases: Sequence[Mapping[str, Any]] = (),
        made_by: object = None,
    ) -> None:
        self.output_dir, self.weights, self.title, self.data = Path(output_dir), weights, title, data
        self.excluded, self.cases = excluded, {case["name"]: case for case in cases}
        self.summary: dict[str, Any] | None = None
        self.on_case: Callable[[int, int], None] | None = None
        self._made_by, self._measured = made_by, dict[str, MeasuredCase]()

    @cached_property
    def _known(self) -> tuple[str, dict[str, MeasuredCase], int]:
        """The SHA-256 of what the figures depend on, the finished cases, and how many have to be measured again.

        The first process decides for all of them, and before the engine runs, which changes its parts.
        """

        def find() -> tuple[str, dict[str, MeasuredCase], int]:
            settings = fingerprint([__version__, self._made_by])
            return settings, *split_finished(self.output_dir, self.cases.values(), settings)

        return _processes().first_decides(find)

    @cached_property
    def unfinished(self) -> list[Mapping[str, Any]]:
        """The cases that are left to measure.

        Under torchrun there is one for each process at least, as far as there are cases: MONAI's sampler asks for it.
        """
        _, kept, _ = self._known
        least = _processes().size if _processes().size > 1 else 0
        left = [case for name, case in self.cases.items() if name not in kept]
        again = [case for name, case in self.cases.items() if name in kept]
        return left + again[: max(0, least - len(left))]

    def run(self, evaluator: Evaluator) -> None:
        """Run the evaluator that this handler is attached to, also where every case is finished."""
        if self.cases and not self.unfinished:
            # Ignite refuses to run over nothing.
            self._start(evaluator)
            self._write(evaluator)
        else:
            evaluator.run()

    def attach(self, engine: Engine) -> None:
        """Attach to a MONAI SupervisedEvaluator that decollates its batches."""
        from ignite.engine import Events

        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._measure)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _start(self, engine: Engine) -> None:
        # Before the first process goes its own way: all of them decide together what is known.
        _, kept, stale = self._known
        self.summary, self._measured = None, {}
        if _processes().rank:
            return
        if self.weights is not None:
            _log.info("evaluated weights: %s, SHA-256 %s", self.weights, weights_hash(self.weights))
        if kept:
            _log.info("%d of %d cases are finished and kept", len(kept), len(self.cases))
        if stale:
            _log.info(
                "%d finished case%s measured again: weights, settings, version or files are not the same",
                stale,
                " is" if stale == 1 else "s are",
            )

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
            self._measured[name] = self._keep(facts | figures, pred, reference)
            if self.on_case is not None:
                self.on_case(len(self._measured), len(self.unfinished))

    def _keep(self, row: dict[str, Any], pred: NDArray[np.uint8], reference: NDArray[np.uint8]) -> MeasuredCase:
        """Write the files of a case, and then its line."""
        name = row["name"]
        case = self.cases.get(name)
        labels, photo = encode_png(pred), encode_thumbnail(read_radiograph(row["file"]).pixels)
        for file, content in (
            (labels_file(self.output_dir, name), labels),
            (picture_file(self.output_dir, name), photo),
        ):
            with atomic_path(file) as temporary:
                temporary.write_bytes(content)
        measured = MeasuredCase(
            name=name,
            inputs="" if case is None else inputs_hash(case),
            settings=self._known[0],
            labels=hashlib.sha256(labels).hexdigest(),
            row=row,
            picture={"prediction": asdict(find_outlines(pred)), "reference": asdict(find_outlines(reference))},
        )
        append_case(self.output_dir, measured)
        return measured

    def _write(self, engine: Engine) -> None:
        measured = _processes().gather(self._measured)
        if _processes().rank:
            return
        # A case that two processes measured counts once.
        cases = {**self._known[1], **{name: case for part in measured for name, case in part.items()}}
        rows = [case.row for case in cases.values()]
        keep_only(self.output_dir, list(cases.values()))
        warning = _warning(rows, self.weights)
        pictures = {name: case.picture for name, case in cases.items()}
        facts = (self.title, self.weights, self.data, self.excluded, warning)
        self.summary = write_evaluation(rows, self.output_dir, pictures, *facts)
        if warning:
            _log.warning("%s", warning)
        _log.info("evaluation of %d images: %s", len(rows), self.output_dir / "index.html")


def _processes() -> Processes:
    """Return this process among those that torchrun started."""
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return Processes()
    return Processes(dist.get_rank(), dist.get_world_size())


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
