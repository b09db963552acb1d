# SPDX-License-Identifier: Apache-2.0
"""A few files from reading to writing: the unit of work of `lungseg predict`."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from lungseg.inference.entry import Entry
from lungseg.inference.kinds import KINDS_WITH_PATH
from lungseg.inference.memory import MemoryBudget
from lungseg.inference.outputs import Outputs
from lungseg.inference.predictor import Prediction, Predictor, Prepared
from lungseg.inference.records import ResultRecords, digest_of, is_unchanged
from lungseg.io.content import changed_while_read, content_hash
from lungseg.report.reasons import join_reason, refusal
from lungseg.report.table import CROP_COLUMNS, Row
from lungseg.utils.errors import LungsegError, as_lungseg_error
from lungseg.utils.files import disk_is_to_blame
from lungseg.utils.memory import give_back_memory
from lungseg.utils.text import escape_control

logger = logging.getLogger(__name__)

# Pixels whose memory is given back at once; where it is used again, that takes longer than to keep it.
_LARGE = 8_000_000


@dataclass(frozen=True)
class Outcome:
    """The end of one file.

    Attributes:
        row: its line of the report.
        reused: its results were there already.
        fatal: why no other file can be written either, for example because the disk is full.
    """

    row: Row
    reused: bool = False
    fatal: LungsegError | None = None


@dataclass
class _Task:
    """One file on its way.

    Attributes:
        path, stem: the file, and the name of its results.
        content: SHA-256 of the file; None if it cannot be read.
        entry: the recorded facts on its results.
        current: those results were made from this content, with the same settings.
        missing: the kinds that have to be written.
        outcome: None until nothing is left to do.
    """

    path: Path
    stem: Path
    content: str | None = None
    entry: Entry = field(default_factory=Entry)
    current: bool = False
    missing: tuple[str, ...] = ()
    outcome: Outcome | None = None


class Pipeline:
    """Segments files and writes their results; one bad file does not stop the others. May be called from threads.

    Args:
        predictor: segments.
        outputs: encodes and writes.
        records: the record of results, which is read and extended.
        overwrite: write all wanted kinds again.
        strict: flagged radiographs, which carry a doubt, fail.
        budget: the memory that radiographs share; None if only this pipeline takes some.
    """

    def __init__(
        self,
        predictor: Predictor,
        outputs: Outputs,
        records: ResultRecords,
        overwrite: bool = False,
        strict: bool = False,
        budget: MemoryBudget | None = None,
    ) -> None:
        self.predictor, self.outputs, self.records = predictor, outputs, records
        self.overwrite, self.strict = overwrite, strict
        self.budget = budget or MemoryBudget()
        self._disk_failed = False

    def __call__(self, files: Sequence[tuple[Path, Path]]) -> list[Outcome]:
        """Segment (path, stem) pairs; the wanted kinds of a file are written together, or none of them.

        Nothing is begun, and nothing returned, once the disk has failed.
        """
        if self._disk_failed:
            return []
        tasks = [_Task(path, stem) for path, stem in files]
        for task in tasks:
            with self._failing(task):
                self._look_up(task)
        with self.records.under_way.noted({task.stem: task.content for task in tasks if task.outcome is None}):
            self._segment(list(self._prepare(task for task in tasks if task.outcome is None)))
        return [task.outcome for task in tasks if task.outcome]

    def fail(self, path: Path, stem: Path, error: LungsegError) -> Outcome:
        """Let a file fail without an attempt: its earlier results are removed unless they still hold."""
        task = _Task(path, stem, content_hash(path))
        task.current = self.records.is_current(self.records.find(stem), task.content)
        self._fail(task, error)
        assert task.outcome is not None
        return task.outcome

    @contextmanager
    def _failing(self, task: _Task, writes: bool = False) -> Iterator[None]:
        """Let the file fail by whatever the block raises; the others are still segmented, unless it `writes` in vain.

        A picture can make a library raise anything, also what is not an `Exception`. Only Ctrl-C goes on.
        """
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._fail(task, error, writes and isinstance(error, LungsegError) and disk_is_to_blame(error))

    def _look_up(self, task: _Task) -> None:
        """Find which kinds of output are missing; there is an outcome if none is."""
        task.entry = entry = self.records.find(task.stem)
        task.content = content_hash(task.path)
        task.current = self.records.is_current(entry, task.content)
        task.missing = self.outputs.kinds
        if self.overwrite or not task.current or entry.row is None:
            return
        if self.strict and entry.row.status == "flagged":
            return self._refuse(task, entry.row)
        files = self.outputs.targets(task.stem)
        changed = {kind for kind in files if kind in entry.files and not is_unchanged(files[kind], entry.files[kind])}
        for kind in sorted(changed):
            if files[kind].exists():
                logger.warning("%s has changed since it was written; it is written again.", escape_control(files[kind]))
        other = self._made_otherwise(task, entry.row)
        task.missing = tuple(kind for kind in files if kind not in entry.files or kind in changed | other)
        only_refused = entry.refused.keys() >= set(task.missing) and len(task.missing) < len(files)
        if only_refused or not task.missing:
            task.outcome = Outcome(self._complete(replace(entry.row, file=str(task.path)), entry.refused), reused=True)

    def _made_otherwise(self, task: _Task, row: Row) -> set[str]:
        """Return the kinds whose files depend on more than the content, and were made with something else."""
        margin = set() if row.crop_margin == self.outputs.crop_margin else {"crop"}
        return margin | _with_other_path(task)

    def _prepare(self, tasks: Iterable[_Task]) -> Iterator[tuple[_Task, Prepared]]:
        for task in tasks:
            prepared = None
            with self._failing(task):
                found = self.predictor.prepare(task.path)
                self.budget.check(found.radiograph.pixels.size, task.path)
                task.content = _same_content(task, found)
                prepared = found
            if prepared is not None:
                yield task, prepared

    def _segment(self, prepared: list[tuple[_Task, Prepared]]) -> None:
        """Run the network and write the results, once there is memory for it."""
        pixels = sum(one.radiograph.pixels.size for _, one in prepared)
        if len(prepared) > 1 and not self.budget.fits(pixels):
            while prepared:
                self._segment([prepared.pop(0)])
            return
        with self.budget.held(pixels):
            segmented = self._run(prepared)
            prepared.clear()
            while segmented:
                # Each radiograph is released before the next one is drawn.
                self._finish(*segmented.pop(0))
            if pixels > _LARGE:
                give_back_memory()

    def _run(self, batch: Sequence[tuple[_Task, Prepared]]) -> list[tuple[_Task, Prepared, torch.Tensor]]:
        began = time.perf_counter()
        all_logits = None
        try:
            all_logits = self.predictor.run([prepared for _, prepared in batch])
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if len(batch) == 1:
                self._fail(batch[0][0], error)
                return []
        # One by one if they were too much together; not above, where the error still holds their memory.
        if all_logits is None:
            return [segmented for one in batch for segmented in self._run([one])]
        for _, prepared in batch:
            prepared.seconds["network"] = (time.perf_counter() - began) / len(batch)
        return [(*one, logits) for one, logits in zip(batch, all_logits, strict=True)]

    def _finish(self, task: _Task, prepared: Prepared, logits: torch.Tensor) -> None:
        began = time.perf_counter()
        with self._failing(task, writes=True):
            prediction = self.predictor.finish(prepared, logits)
            row = _row(task, prediction)
            if self.strict and prediction.doubts:
                return self._refuse(task, row)
            files, refused = self._write(task, prediction)
            try:
                row = replace(
                    row,
                    **self._crop_columns(task, prediction, files),
                    seconds=round(sum(prepared.seconds.values()) + time.perf_counter() - began, 3),
                )
                if task.content:
                    self.records.add(task.stem, task.content, row, files, refused)
            except BaseException:
                self.outputs.remove(task.stem, task.missing)
                raise
            task.outcome = Outcome(self._complete(row, refused))
            logger.debug("%s: %s, wrote %s", escape_control(task.path), row.status, ", ".join(task.missing))

    def _write(self, task: _Task, prediction: Prediction) -> tuple[dict[str, str], dict[str, str]]:
        """Write the missing kinds; return kind -> digest of all files that hold now, and kind -> why it was refused."""
        kept = task.entry.kinds.difference(task.missing, _with_other_path(task)) if task.current else frozenset()
        contents, errors = self.outputs.encode(task.stem, prediction, task.missing)
        if errors and not contents and not kept.intersection(self.outputs.kinds):
            raise next(iter(errors.values()))
        self.outputs.make_room(task.stem, contents)
        # Kinds made from another content or model, begun by a run that was killed, or about to be written.
        affected = (task.entry.kinds | task.entry.touched | set(task.missing)) - kept
        self.records.begin(task.stem, affected)
        self.outputs.remove(task.stem, affected - contents.keys())
        self.outputs.write(task.stem, contents)
        refused = {kind: refusal(kind, error) for kind, error in errors.items()}
        earlier = task.entry.refused if task.current else {}
        files = {kind: task.entry.files[kind] for kind in kept}
        files |= {kind: digest_of(content) for kind, content in contents.items()}
        return files, {kind: why for kind, why in earlier.items() if kind not in contents} | refused

    def _crop_columns(self, task: _Task, prediction: Prediction, files: Mapping[str, str]) -> dict[str, Any]:
        """Return the columns that describe the crop, if its file holds."""
        if "crop" not in files:
            return {}
        if "crop" in task.missing:
            box = prediction.crop_box(self.outputs.crop_margin)
            return dict(zip(CROP_COLUMNS, (*box, self.outputs.crop_margin), strict=True))
        return {name: getattr(task.entry.row, name) for name in CROP_COLUMNS}

    def _complete(self, row: Row, refused: Mapping[str, str]) -> Row:
        """Add to the reason of a row which of the wanted kinds were left out."""
        left_out = [refused[kind] for kind in self.outputs.kinds if kind in refused]
        return replace(row, reason=join_reason(row.reason, left_out))

    def _refuse(self, task: _Task, row: Row) -> None:
        """Let a flagged radiograph fail: its earlier results are removed, but its judgement is reported."""
        error = LungsegError(row.reason, task.path, "look at it, and segment it without --strict", code="flagged")
        task.current = False
        judged = {name: getattr(row, name) for name in ("quality", "quality_lower", "doubts", "notes")}
        self._fail(task, error, **judged)

    def _fail(self, task: _Task, error: BaseException, fatal: bool = False, **columns: Any) -> None:
        """Record the failure, and remove earlier results of the file unless they still hold.

        Nothing is removed because of a file that does not exist or cannot be read.
        """
        try:
            if task.content:
                entry = self.records.find(task.stem)
                stale = entry.touched if task.current else entry.kinds | entry.touched
                self.records.begin(task.stem, stale)
                self.outputs.remove(task.stem, stale)
        except KeyboardInterrupt:
            raise
        except BaseException as stuck:
            error, fatal = stuck, fatal or (isinstance(stuck, LungsegError) and disk_is_to_blame(stuck))
        self._disk_failed |= fatal
        known = as_lungseg_error(error, "it could not be segmented", task.path)
        # An error about a file of the results says which input it is of.
        reason = str(known) if str(known.where) == str(task.path) else f"{escape_control(task.path)}: {known}"
        row = Row(file=str(task.path), status="failed", reason=reason, code=known.code, **columns)
        # The disk may be full.
        with suppress(LungsegError):
            self.records.add_failure(task.stem, row)
        task.outcome = Outcome(row, fatal=known if fatal else None)


def _same_content(task: _Task, prepared: Prepared) -> str | None:
    """Return the hash of the bytes that were read, which must be those that earlier results were compared with."""
    source = prepared.radiograph.source
    if source is None:
        return task.content
    if task.content not in (None, source.sha256):
        raise changed_while_read(task.path)
    return source.sha256


def _with_other_path(task: _Task) -> set[str]:
    """Return the kinds whose files name the path that the input had before; none if it is the same."""
    return set() if task.entry.source == os.path.realpath(task.path) else set(KINDS_WITH_PATH)


def _row(task: _Task, prediction: Prediction) -> Row:
    measured: dict[str, Any] = prediction.measurements
    ratio = prediction.cardiothoracic_ratio
    return Row(
        file=str(task.path),
        status="flagged" if prediction.doubts else "ok",
        reason="; ".join(prediction.doubts.values()),
        name=str(task.stem),
        **measured,
        spacing_kind=prediction.radiograph.spacing_kind,
        ctr_note=ratio.note if ratio else "",
        quality=prediction.quality,
        quality_lower=prediction.quality_lower,
        doubts=" ".join(prediction.doubts),
        notes=" ".join(prediction.notes),
    )
