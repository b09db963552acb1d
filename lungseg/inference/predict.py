# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict`: many files in; masks, label maps, overlays and a report out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from os import PathLike
from pathlib import Path

import torch

from lungseg.inference.outputs import DEFAULT_KINDS, Outputs
from lungseg.inference.pipeline import Outcome
from lungseg.inference.predictor import Predictor
from lungseg.inference.records import content_hash, sources
from lungseg.inference.workers import Job, segment, worker_processes
from lungseg.io import Inputs, find_radiographs
from lungseg.model.paths import weights_file
from lungseg.model.weights import weights_hash
from lungseg.report.predictions import reporting
from lungseg.report.table import CsvReport, Row
from lungseg.utils.distributed import Processes, launched_processes, merged
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import remove_abandoned, usable_folder
from lungseg.utils.parallel import core_count, default_workers, work_in_order
from lungseg.utils.text import shorten_list

_NAMES_SHOWN = 3
# A GPU wants many windows at a time; on a CPU they would only wait for each other.
_BATCH_SIZE = {"cuda": 8}
# Processes take seconds to start, which fewer files would not win back.
_WORTH_PROCESSES = 200


def predict(
    inputs: str | PathLike | Iterable[str | PathLike],
    output: str | PathLike,
    weights: str | PathLike | None = None,
    device: str = "auto",
    done: Callable[[int, int, Row], None] = lambda index, total, row: None,
    say: Callable[[str], None] = lambda line: None,
    kinds: Iterable[str] = DEFAULT_KINDS,
    *,
    precision: str = "fp32",
    batch_size: int | None = None,
    workers: int | None = None,
    processes: bool | None = False,
    overwrite: bool = False,
    strict: bool = False,
) -> list[Row]:
    """Segment files and folders; one bad file does not stop the others.

    Workers decode, segment and write at the same time. What an earlier run finished with the same content, weights and
    options is not done again: its row is taken over. Of processes that `torchrun` started, each does a part, and the
    first one writes the report on all.

    Args:
        inputs: see :func:`lungseg.io.find_radiographs`; one alone may be given as it is.
        output: folder for a folder of each kind, `report.csv`, `report.json`, `report.html` and `done.jsonl`, which
            tells the next run what is done; sub-folders of the inputs are kept.
        weights: see :func:`lungseg.model.paths.weights_file`.
        device: see :func:`lungseg.inference.devices.choose_device`.
        done: called after each file with its index from 1, the number of files, and its row; of this process's part.
        say: takes lines on what was passed over or done before.
        kinds: what to write of each radiograph, see :data:`lungseg.inference.outputs.KINDS`.
        precision: of the network, see :func:`lungseg.model.backends.make_backend`.
        batch_size: how many files each worker takes at a time; the network gets those of one size together. The
            default is 1 on a CPU, 8 on a GPU.
        workers: how many work at the same time; the default is one more than there are cores, up to eight.
        processes: whether workers are processes, each with memory of its own, instead of threads; None for where that
            is faster, which is with hundreds of files on a CPU with several cores. A script that does not say False
            must start its work under `if __name__ == "__main__"`.
        overwrite: do again what is done, and let results take the place of another file's.
        strict: a flagged radiograph has failed: nothing is written of it.

    Returns:
        The rows of the report, in the order of the inputs; of all processes, in each of them.

    Raises:
        UsageError: there is nothing to segment, or the output folder cannot be written to, is among the inputs, or has
            results of the same name of another file.
        LungsegError: the weights cannot be used, or the disk is full: what was finished until then stays.
    """
    inputs = [inputs] if isinstance(inputs, str | PathLike) else list(inputs)
    # A shell's variable that is not set; the working directory was not meant.
    if not all(os.fspath(path) for path in (*inputs, output)):
        raise UsageError("an input or the output folder has an empty name", remedy="name each file and folder")
    output, inputs = Path(output), [Path(path) for path in inputs]
    outputs = Outputs(output, kinds)
    with launched_processes() as group:
        found = _listed(group, inputs, outputs, overwrite)
        for line in _passed_over(found):
            say(line)
        job = Job(output, outputs.kinds, weights_file(weights), device, precision, overwrite, strict)
        predictor = job.predictor()
        files = group.share(found.radiographs)
        rows: list[Row] = []
        first = group.rank == 0
        usable_folder(output)
        if first:
            for kind in outputs.kinds:
                remove_abandoned(output / kind)
        report = CsvReport(output / "report.csv") if first else None
        reused = 0

        def finished(outcomes: list[Outcome]) -> None:
            nonlocal reused
            for outcome in outcomes:
                rows.append(outcome.row)
                reused += outcome.reused
                if report:
                    report.add(outcome.row)
                if outcome.fatal:
                    raise outcome.fatal
                done(len(rows), len(files), outcome.row)

        size = batch_size or _BATCH_SIZE.get(predictor.device.type, 1)
        batches = [files[start : start + size] for start in range(0, len(files), size)]
        if processes is None:
            processes = predictor.device.type == "cpu" and core_count() > 1 and len(files) >= _WORTH_PROCESSES
        workers = max(1, min(workers or default_workers(), len(batches)))
        # The ledgers' numbers are no other process's, wherever it runs.
        parts = range(group.rank, group.size * workers, group.size)
        with reporting(output, rows, _facts(predictor, outputs)) if first else nullcontext():
            if processes:
                with worker_processes(job, parts) as pool:
                    work_in_order(segment, batches, workers, finished, pool)
            else:
                with _cores_shared(workers):
                    work_in_order(job.segmenter(predictor, parts[0]), batches, workers, finished)
            if group.size > 1:
                rows[:] = merged(group.gather(rows))
                if first:
                    _write_again(report, rows)
        if reused:
            say(f"Done before, with the same weights and options: {reused}; --overwrite does them again")
    return rows


def _listed(group: Processes, inputs: list[Path], outputs: Outputs, overwrite: bool) -> Inputs:
    """Find the inputs once for all processes, for a folder may change in between."""
    found, error = None, None
    if group.rank == 0:
        try:
            found = find_radiographs(inputs, exclude=outputs.folder)
            _keep_apart(inputs, found.radiographs, outputs)
            if not overwrite:
                _keep_others(found.radiographs, outputs)
        except LungsegError as refused:
            error = refused
    found, error = group.told_by_first((found, error))
    if error:
        raise error
    return found


def _facts(predictor: Predictor, outputs: Outputs) -> dict:
    """Return what `report.json` records of the run."""
    return {
        "command": sys.argv,
        "weights": {"file": str(predictor.weights), "sha256": weights_hash(predictor.weights)},
        "device": str(predictor.device),
        **predictor.computed,
        "outputs": list(outputs.kinds),
    }


def _keep_apart(inputs: list[Path], radiographs: list[tuple[Path, Path]], outputs: Outputs) -> None:
    """Refuse an output folder in which results would become inputs, or take their place."""
    here = os.path.realpath(outputs.folder)
    inputs_here = [path for path in inputs if os.path.isdir(path) and os.path.realpath(path) == here]
    targets = {os.path.realpath(file) for _, stem in radiographs for file in outputs.targets(stem).values()}
    overwritten = [path for path, _ in radiographs if os.path.realpath(path) in targets]
    if inputs_here or overwritten:
        raise UsageError(
            "the results would lie among the inputs", (inputs_here + overwritten)[0], "choose another folder for them"
        )


def _keep_others(radiographs: list[tuple[Path, Path]], outputs: Outputs) -> None:
    """Refuse what would take the place of the results of another file, where that is still there and no copy."""
    owners = sources(outputs.folder)
    for path, stem in radiographs:
        owner, content = owners.get(str(stem), (None, None))
        moved = owner and owner != os.path.realpath(path) and os.path.exists(owner)
        if moved and content != content_hash(path):
            what = f"{outputs.folder} has results called {stem} already, of {owner}"
            raise UsageError(what, path, "choose another output folder, or replace them with --overwrite")


def _passed_over(found: Inputs) -> Iterator[str]:
    for paths, what in (
        (found.skipped, "hidden, linked folders, earlier results or no pictures"),
        (found.companions, "DICOM reports, presentation states, segmentations and the like"),
    ):
        if paths:
            yield f"Passed over, as {what}: {shorten_list([path.name for path in paths], _NAMES_SHOWN)}"


@contextmanager
def _cores_shared(workers: int) -> Iterator[None]:
    """Let each worker compute with its share of the cores alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, core_count() // workers)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _write_again(report: CsvReport, rows: Sequence[Row]) -> None:
    """Put the rows of all processes in the place of the first one's."""
    whole = CsvReport(report.path)
    for row in rows:
        whole.add(row)
