# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict`: many files in; masks, label maps, overlays and a report out."""

from __future__ import annotations

import logging
import os
import time
from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any

from lungseg.inference.annotations import annotating
from lungseg.inference.choices import CROP_MARGIN
from lungseg.inference.kinds import DEFAULT_KINDS
from lungseg.inference.outputs import Outputs
from lungseg.inference.part_records import PartRecord
from lungseg.inference.parts import Part
from lungseg.inference.pipeline import Outcome
from lungseg.inference.predictor import Predictor
from lungseg.inference.record_index import RecordIndex
from lungseg.inference.records import model_hash
from lungseg.inference.results_folder import remove_half_written, take_folder, take_part
from lungseg.inference.schedule import Schedule
from lungseg.inference.under_way import take_notes
from lungseg.inference.workers import Job
from lungseg.io.archives import how_to_unpack
from lungseg.io.discovery import Inputs, find_radiographs
from lungseg.io.reader_process import stop_readers
from lungseg.model.paths import weights_file
from lungseg.model.weights import weights_hash
from lungseg.report.predictions import reporting
from lungseg.report.table import Row
from lungseg.utils.errors import UsageError
from lungseg.utils.files import private_files
from lungseg.utils.parallel import core_count, default_workers
from lungseg.utils.signals import stops_held_back
from lungseg.utils.text import escape_control, shorten_list

logger = logging.getLogger(__name__)

_NAMES_SHOWN = 3
# A GPU wants many windows at a time; on a CPU they would only wait for each other.
_BATCH_SIZE = {"cuda": 8}
# Processes take seconds to start, which fewer files would not win back.
_WORTH_PROCESSES = 200


def predict(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    output: str | PathLike[str],
    weights: str | PathLike[str] | None = None,
    device: str = "auto",
    *,
    kinds: Iterable[str] = DEFAULT_KINDS,
    precision: str = "fp32",
    batch_size: int | None = None,
    workers: int | None = None,
    processes: bool | None = False,
    overwrite: bool = False,
    strict: bool = False,
    extent: str = "visible",
    heart: bool = False,
    ctr: str = "auto",
    crop_margin: float = CROP_MARGIN,
    private: bool = False,
    trust: bool = False,
    part: Part | None = None,
    on_result: Callable[[int, int, Row], None] | None = None,
    command: Sequence[str] | None = None,
) -> list[Row]:
    """Segment files and folders; one bad file does not stop the others.

    Workers decode, segment and write at the same time. Results that an earlier run made from the same content with the
    same weights and settings are reused; only kinds of output that are missing are added. With `part`,
    only the files of that part are segmented, and :func:`lungseg.inference.merge.merge` writes the report on all parts.

    Args:
        inputs: files and folders, see :func:`lungseg.io.find_radiographs`, or a single one.
        output: folder for a folder of each kind, the record `records.jsonl` (by which the next run knows what is done)
            and its views `report.csv`, `report.json`, `report.html` and, for the kind "coco", `annotations.coco.json`.
            Sub-folders of the inputs are kept.
        weights: see :func:`lungseg.model.paths.weights_file`.
        device: see :func:`lungseg.inference.devices.choose_device`.
        kinds: kinds of output to write for each radiograph, see :data:`lungseg.inference.kinds.KINDS`.
        precision: of the networks, see :func:`lungseg.model.backends.make_backend`.
        batch_size: files per worker at a time; images of one size go through the network together. The default is 1 on
            a CPU, 8 on a GPU.
        workers: files at the same time; the default is one more than there are cores, up to eight.
        processes: whether workers are processes, each with memory of its own, instead of threads; None: where that is
            faster, which is with hundreds of files on a CPU with several cores. Unless it is False, a script must start
            its work under `if __name__ == "__main__"`.
        overwrite: write results again, and replace results of another file that have the same name.
        strict: treat flagged radiographs as failed and write no output for them.
        extent: of the lungs in label maps, masks and overlays, "visible" or "full" (with the part behind the heart).
            The columns of the report have both.
        heart: show the heart too: 3 in label maps, a segment in DICOM SEG, an outline in overlays.
        ctr: when to give the cardiothoracic ratio: "auto" withholds it where it is not reliable, "always" or "never".
        crop_margin: of the kind "crop", see :func:`lungseg.inference.crop.lung_box`.
        private: let other users of this machine read neither the output folder nor what is written to it.
        trust: the config beside the weights may run code, as a program of the run's author would.
        part: one of the parts in which machines share the work: the same inputs and options, and an output folder that
            all of them can write to.
        on_result: called after each file with the number of finished ones, of all, and its row.
        command: the command line, which `report.json` records.

    Returns:
        The rows of the report, or of the part, in the order of the inputs.

    Raises:
        UsageError: there is nothing to segment, the weights do not know the heart that is asked for, or the output
            folder cannot be written to, is among the inputs, is written to by another run, or has results of another
            file under the same name.
        LungsegError: the weights cannot be used, or the disk is full; results that were finished before are kept.
    """
    paths = [Path(path) for path in as_list(inputs, output)]
    outputs = Outputs(Path(output), kinds, crop_margin)
    found = find_radiographs(paths, exclude=outputs.folder)
    check_apart(paths, found.radiographs, outputs)
    log_skipped(found)
    job = Job(
        outputs.folder,
        outputs.kinds,
        weights_file(weights),
        device,
        precision,
        overwrite,
        strict,
        extent,
        heart,
        ctr,
        private,
        trust,
        crop_margin,
    )
    predictor = job.predictor()
    facts = run_facts(predictor, outputs, command)
    places = {str(path): place for place, (path, _) in enumerate(found.radiographs)}
    files = [file for file in found.radiographs if part is None or part.has(file[1])]
    rows: list[Row] = []
    with ExitStack() as stack:
        if private:
            stack.enter_context(private_files())
        record = None
        if part is None:
            index = take_folder(stack, found.radiographs, outputs, overwrite, private)
            stack.enter_context(reporting(outputs.folder, rows, facts))
            stack.enter_context(annotating(outputs, rows))
        else:
            record = PartRecord(part, facts, [(places[str(path)], str(path), str(stem)) for path, stem in files])
            index = take_part(stack, record, files, outputs, overwrite, private)

        def finished(outcome: Outcome) -> None:
            insort(rows, outcome.row, key=lambda row: places[row.file])
            if outcome.fatal:
                raise outcome.fatal
            if record:
                record.add(outputs.folder, places[outcome.row.file], outcome.row)
            if on_result:
                on_result(len(rows), len(files), outcome.row)

        began = time.perf_counter()
        numbers = range if part is None else part.records
        try:
            reused = _segment(job, predictor, index, files, numbers, finished, batch_size, workers, processes)
        except BaseException:
            if part is None:
                # Of workers that were given up.
                with stops_held_back():
                    remove_half_written(outputs.folder)
            raise
        if record:
            record.finish(outputs.folder, round(time.perf_counter() - began, 3))
    if reused:
        logger.info("Reused results of an earlier run (same content, weights and settings): %d", reused)
    return rows


def _segment(
    job: Job,
    predictor: Predictor,
    index: RecordIndex,
    files: Sequence[tuple[Path, Path]],
    parts: Callable[[int], Sequence[int]],
    finished: Callable[[Outcome], None],
    batch_size: int | None,
    workers: int | None,
    processes: bool | None,
) -> int:
    """Segment the files and return how many results of an earlier run were reused; `parts` numbers the workers."""
    reused = 0

    def take(outcomes: list[Outcome]) -> None:
        nonlocal reused
        for outcome in outcomes:
            reused += outcome.reused
            finished(outcome)

    size = batch_size or _BATCH_SIZE.get(predictor.device.type, 1)
    if processes is None:
        processes = predictor.device.type == "cpu" and core_count() > 1 and _are_many(files, job, predictor, index)
    if processes:
        # Those of this process; the workers have readers of their own.
        stop_readers()
    workers = max(1, min(workers or default_workers(), -(-len(files) // size)))
    numbers = parts(workers)
    try:
        Schedule(job, predictor, numbers, size, index, take)(files, processes)
    finally:
        # This process was not killed, whatever ended the run.
        with stops_held_back():
            take_notes(job.output, numbers)
    return reused


def _are_many(files: Sequence[tuple[Path, Path]], job: Job, predictor: Predictor, index: RecordIndex) -> bool:
    """Return whether the files are worth processes; those of which there is a result are not."""
    if job.overwrite or len(files) < _WORTH_PROCESSES:
        return len(files) >= _WORTH_PROCESSES
    model = model_hash(predictor.identity())
    return sum(not index.has_result(stem, model) for _, stem in files) >= _WORTH_PROCESSES


def as_list(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]], output: str | PathLike[str]
) -> list[str | PathLike[str]]:
    """Return the inputs as a list.

    Raises:
        UsageError: one of them, or the output folder, has an empty name.
    """
    names = [inputs] if isinstance(inputs, str | PathLike) else list(inputs)
    # A variable of the shell that is not set; the working directory was not meant.
    if not all(os.fspath(path) for path in (*names, output)):
        remedy = "name each file and folder"
        raise UsageError("an input or the output folder has an empty name", remedy=remedy, code="empty-name")
    return names


def run_facts(predictor: Predictor, outputs: Outputs, command: Sequence[str] | None) -> dict[str, Any]:
    """Return the facts of the run for `report.json`."""
    return {
        **({"command": list(command)} if command else {}),
        "weights": {"file": str(predictor.weights), "sha256": weights_hash(predictor.weights)},
        "device": str(predictor.device),
        **predictor.computed,
        "outputs": list(outputs.kinds),
        **({"crop_margin": outputs.crop_margin} if "crop" in outputs.kinds else {}),
    }


def check_apart(inputs: Sequence[Path], radiographs: Sequence[tuple[Path, Path]], outputs: Outputs) -> None:
    """Refuse an output folder in which results would become inputs or replace them.

    Raises:
        UsageError: it is one.
    """
    here = os.path.realpath(outputs.folder)
    inputs_here = [path for path in inputs if os.path.isdir(path) and os.path.realpath(path) == here]
    real = _RealPaths()
    sources = {real(path) for path, _ in radiographs}
    targets = (real(file) for _, stem in radiographs for file in outputs.targets(stem).values())
    among = {target for target in targets if target in sources}
    overwritten = [path for path, _ in radiographs if among and real(path) in among]
    if inputs_here or overwritten:
        raise UsageError(
            "the results would lie among the inputs",
            (inputs_here + overwritten)[0],
            "choose another output folder",
            code="output-among-inputs",
        )


class _RealPaths:
    """Finds the real paths of many files in few folders, each folder's once."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def __call__(self, path: Path) -> str:
        if path.name == ".." or os.path.islink(path):
            return os.path.realpath(path)
        folder = os.path.dirname(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return os.path.join(self._folders[folder], path.name)


def log_skipped(found: Inputs) -> None:
    """Log which files of the inputs are not segmented, and why."""
    groups: dict[str, list[Path]] = {}
    if found.skipped:
        groups["Skipped (hidden files, symlinked folders, earlier results, non-images)"] = found.skipped
    if found.masks:
        groups["Passed over, because they are masks or label maps"] = found.masks
    for path, kind in found.companions.items():
        groups.setdefault(f"Passed over, because the file says {kind}", []).append(path)
    for why, paths in groups.items():
        logger.info("%s: %d: %s", why, len(paths), shorten_list([path.name for path in paths], _NAMES_SHOWN))
    if found.archives:
        names = shorten_list([path.name for path in found.archives], _NAMES_SHOWN)
        commands = how_to_unpack(found.archives[0]) or "unpack them, then run again"
        logger.warning("skipped archives, whose files are not segmented: %s; %s.", names, escape_control(commands))
