# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict`: many files in; masks, label maps, overlays and a report out."""

from __future__ import annotations

import logging
import os
from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext
from os import PathLike
from pathlib import Path
from typing import Any

from lungseg.inference.outputs import DEFAULT_KINDS, KINDS, Outputs
from lungseg.inference.pipeline import Outcome
from lungseg.inference.predictor import Predictor
from lungseg.inference.records import read_entries, start_record
from lungseg.inference.schedule import Schedule, note_kills
from lungseg.inference.under_way import take_notes
from lungseg.inference.workers import Job
from lungseg.io.archives import how_to_unpack
from lungseg.io.content import content_hash
from lungseg.io.discovery import Inputs, find_radiographs
from lungseg.model.paths import weights_file
from lungseg.model.weights import weights_hash
from lungseg.report.predictions import remove_reports, reporting
from lungseg.report.table import Row
from lungseg.utils.distributed import Processes, interleave, launched_processes
from lungseg.utils.errors import UsageError
from lungseg.utils.files import only_user, private_files, private_folder, remove_abandoned, usable_folder
from lungseg.utils.parallel import core_count, default_workers
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
    private: bool = False,
    trust: bool = False,
    on_result: Callable[[int, int, Row], None] | None = None,
    command: Sequence[str] | None = None,
) -> list[Row]:
    """Segment files and folders; one bad file does not stop the others.

    Workers decode, segment and write at the same time. Results that an earlier run made from the same content with the
    same weights and settings are reused; only kinds of output that are missing are added. If `torchrun` started several
    processes, each does a part of the files, and the first one writes the report on all of them.

    Args:
        inputs: files and folders, see :func:`lungseg.io.find_radiographs`, or a single one.
        output: folder for a folder of each kind, the record `records.jsonl` (by which the next run knows what is done)
            and its views `report.csv`, `report.json` and `report.html`. Sub-folders of the inputs are kept.
        weights: see :func:`lungseg.model.paths.weights_file`.
        device: see :func:`lungseg.inference.devices.choose_device`.
        kinds: kinds of output to write for each radiograph, see :data:`lungseg.inference.outputs.KINDS`.
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
        private: let other users of this machine read neither the output folder nor what is written to it.
        trust: the config beside the weights may run code, as a program of the run's author would.
        on_result: called after each file of this process with the number of finished ones, of all, and its row.
        command: the command line, which `report.json` records.

    Returns:
        The rows of the report, in the order of the inputs; in each process those of all processes.

    Raises:
        UsageError: there is nothing to segment, the weights do not know the heart that is asked for, or the output
            folder cannot be written to, is among the inputs, is written to by another run, or has results of another
            file under the same name.
        LungsegError: the weights cannot be used, or the disk is full; results that were finished before are kept.
    """
    paths = [Path(path) for path in _as_list(inputs, output)]
    outputs = Outputs(Path(output), kinds)
    with launched_processes() as group:
        found = _find_inputs(group, paths, outputs)
        if group.rank == 0:
            _log_skipped(found)
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
        )
        predictor = job.predictor()
        files = group.share(found.radiographs)
        with ExitStack() as stack:
            if private:
                stack.enter_context(private_files())
            group.first_decides(lambda: _take_folder(stack, found.radiographs, outputs, overwrite, private))
            return _segment(group, job, predictor, outputs, files, batch_size, workers, processes, on_result, command)


def _segment(
    group: Processes,
    job: Job,
    predictor: Predictor,
    outputs: Outputs,
    files: Sequence[tuple[Path, Path]],
    batch_size: int | None,
    workers: int | None,
    processes: bool | None,
    on_result: Callable[[int, int, Row], None] | None,
    command: Sequence[str] | None,
) -> list[Row]:
    """Segment this process's files and write the report; the output folder belongs to this run."""
    rows: list[Row] = []
    order = {str(path): number for number, (path, _) in enumerate(files)}
    reused = 0

    def finished(outcomes: list[Outcome]) -> None:
        nonlocal reused
        for outcome in outcomes:
            insort(rows, outcome.row, key=lambda row: order[row.file])
            reused += outcome.reused
            if outcome.fatal:
                raise outcome.fatal
            if on_result:
                on_result(len(rows), len(files), outcome.row)

    first = group.rank == 0
    size = batch_size or _BATCH_SIZE.get(predictor.device.type, 1)
    if processes is None:
        processes = predictor.device.type == "cpu" and core_count() > 1 and len(files) >= _WORTH_PROCESSES
    workers = max(1, min(workers or default_workers(), -(-len(files) // size)))
    # No other process has the same number of a record, wherever it runs.
    parts = range(group.rank, group.size * workers, group.size)
    with reporting(outputs.folder, rows, _facts(predictor, outputs, command)) if first else nullcontext():
        try:
            Schedule(job, predictor, parts, size, finished)(files, processes)
        except BaseException:
            if group.size == 1:
                # Of workers that were given up.
                _remove_abandoned(outputs.folder)
            raise
        finally:
            # This process was not killed, whatever ended the run.
            take_notes(outputs.folder, parts)
        rows[:] = interleave(group.gather(rows))
    if reused and first:
        logger.info("Reused results of an earlier run (same content, weights and settings): %d", reused)
    return rows


def _as_list(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]], output: str | PathLike[str]
) -> list[str | PathLike[str]]:
    names = [inputs] if isinstance(inputs, str | PathLike) else list(inputs)
    # A variable of the shell that is not set; the working directory was not meant.
    if not all(os.fspath(path) for path in (*names, output)):
        remedy = "name each file and folder"
        raise UsageError("an input or the output folder has an empty name", remedy=remedy, code="empty-name")
    return names


def _find_inputs(group: Processes, inputs: Sequence[Path], outputs: Outputs) -> Inputs:
    """Find the inputs once for all processes, because a folder may change in between."""

    def find() -> Inputs:
        found = find_radiographs(inputs, exclude=outputs.folder)
        _check_apart(inputs, found.radiographs, outputs)
        return found

    return group.first_decides(find)


def _take_folder(
    stack: ExitStack, radiographs: Sequence[tuple[Path, Path]], outputs: Outputs, overwrite: bool, private: bool
) -> None:
    """Lock the output folder until the stack is closed, and make it ready for this run.

    Raises:
        UsageError: it cannot be written to, another run writes to it, or it has results of another file.
        LungsegError: the disk is full.
    """
    (private_folder if private else usable_folder)(outputs.folder)
    stack.enter_context(only_user(outputs.folder / "records.lock"))
    if not overwrite:
        _check_names_free(radiographs, outputs)
    _tidy_folder(outputs.folder)
    note_kills(outputs.folder)


def _tidy_folder(output: Path) -> None:
    """Start the record in the output folder, and remove files of earlier runs that do not hold any more."""
    if start_record(output):
        logger.info("%s was made by an older version of lungseg: everything is segmented again", output)
    remove_reports(output)
    _remove_abandoned(output)


def _remove_abandoned(output: Path) -> None:
    """Remove the half-written files of processes that were killed."""
    remove_abandoned(output, sub_folders=False)
    for kind in KINDS:
        remove_abandoned(output / kind)


def _facts(predictor: Predictor, outputs: Outputs, command: Sequence[str] | None) -> dict[str, Any]:
    """Return the facts of the run for `report.json`."""
    return {
        **({"command": list(command)} if command else {}),
        "weights": {"file": str(predictor.weights), "sha256": weights_hash(predictor.weights)},
        "device": str(predictor.device),
        **predictor.computed,
        "outputs": list(outputs.kinds),
    }


def _check_apart(inputs: Sequence[Path], radiographs: Sequence[tuple[Path, Path]], outputs: Outputs) -> None:
    """Refuse an output folder in which results would become inputs or replace them."""
    here = os.path.realpath(outputs.folder)
    inputs_here = [path for path in inputs if os.path.isdir(path) and os.path.realpath(path) == here]
    targets = {os.path.realpath(file) for _, stem in radiographs for file in outputs.targets(stem).values()}
    overwritten = [path for path, _ in radiographs if os.path.realpath(path) in targets]
    if inputs_here or overwritten:
        raise UsageError(
            "the results would lie among the inputs",
            (inputs_here + overwritten)[0],
            "choose another output folder",
            code="output-among-inputs",
        )


def _check_names_free(radiographs: Sequence[tuple[Path, Path]], outputs: Outputs) -> None:
    """Refuse to replace the results of another file, unless that file is gone or has the same content."""
    entries = read_entries(outputs.folder)
    for path, stem in radiographs:
        entry = entries.get(str(stem))
        if not entry or not entry.kinds or entry.source == os.path.realpath(path):
            continue
        if os.path.exists(entry.source) and entry.content != content_hash(path):
            raise UsageError(
                f"{outputs.folder} already has results called {stem}, of {entry.source}",
                path,
                "choose another output folder, or replace them with --overwrite",
                code="name-taken",
            )


def _log_skipped(found: Inputs) -> None:
    groups: dict[str, list[Path]] = {}
    if found.skipped:
        groups["Skipped (hidden files, symlinked folders, earlier results, non-images)"] = found.skipped
    for path, kind in found.companions.items():
        groups.setdefault(f"Passed over, because the file says {kind}", []).append(path)
    for why, paths in groups.items():
        logger.info("%s: %d: %s", why, len(paths), shorten_list([path.name for path in paths], _NAMES_SHOWN))
    if found.archives:
        names = shorten_list([path.name for path in found.archives], _NAMES_SHOWN)
        commands = how_to_unpack(found.archives[0]) or "unpack them, then run again"
        logger.warning("skipped archives, whose files are not segmented: %s; %s.", names, escape_control(commands))
