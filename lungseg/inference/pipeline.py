# SPDX-License-Identifier: Apache-2.0
"""A few files from reading to writing: what a worker of `lungseg predict` does at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from lungseg.inference.measurements import measurements
from lungseg.inference.outputs import KINDS, Outputs
from lungseg.inference.predictor import Prediction, Predictor, Prepared
from lungseg.inference.records import ResultRecords, content_hash
from lungseg.report.table import Row
from lungseg.utils.errors import LungsegError, as_lungseg_error
from lungseg.utils.files import disk_is_to_blame
from lungseg.utils.text import escape_control


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        row: its line of the report.
        reused: its results were there already.
        fatal: why no other file can be written either, as on a full disk.
    """

    row: Row
    reused: bool = False
    fatal: LungsegError | None = None


@dataclass
class _Task:
    """One file on its way; it has an outcome as soon as nothing is left to do."""

    path: Path
    stem: Path
    content: str | None = None
    # What an earlier run wrote, see `ResultRecords.kinds`, and of this what is not written anew but still holds.
    kinds: Sequence[str] | None = ()
    kept: Sequence[str] = ()
    prepared: Prepared | None = None
    logits: torch.Tensor | None = None
    outcome: Outcome | None = None


class Pipeline:
    """Segments files and writes their results; one bad file does not stop the others. May be called from threads.

    Args:
        predictor: what segments.
        outputs: what writes.
        ledger: tells what is done, and is told.
        overwrite: do again what is done.
        strict: what is flagged has failed.
    """

    def __init__(
        self,
        predictor: Predictor,
        outputs: Outputs,
        ledger: ResultRecords,
        overwrite: bool = False,
        strict: bool = False,
    ) -> None:
        self.predictor, self.outputs, self.ledger = predictor, outputs, ledger
        self.overwrite, self.strict = overwrite, strict
        self._disk_failed = False

    def __call__(self, files: Sequence[tuple[Path, Path]]) -> list[Outcome]:
        """Segment (path, stem) pairs; of each file all that can be made is written, or nothing is there of it.

        Nothing is begun, and nothing returned, once the disk has failed.
        """
        if self._disk_failed:
            return []
        tasks = [_Task(path, stem) for path, stem in files]
        for step in (self._look_up, self._prepare, self._run, self._write):
            step([task for task in tasks if task.outcome is None])
        return [task.outcome for task in tasks]

    def _look_up(self, tasks: Sequence[_Task]) -> None:
        for task in tasks:
            # Before it is read: if the file changes in between, the next run sees that.
            task.content = content_hash(task.path)
            task.kinds = self.ledger.kinds(task.stem)
            if self.ledger.is_of(task.stem, task.content):
                task.kept = [kind for kind in task.kinds or () if kind not in self.outputs.kinds]
            row = None if self.overwrite else self.ledger.find(task.stem, task.content)
            if row and self.strict and row.status == "flagged":
                row = None
            if row and all(file.is_file() for file in self.outputs.targets(task.stem, task.kinds).values()):
                task.outcome = Outcome(replace(row, file=str(task.path)), reused=True)

    def _prepare(self, tasks: Sequence[_Task]) -> None:
        for task in tasks:
            try:
                task.prepared = self.predictor.prepare(task.path)
            except Exception as error:  # whatever one picture does to the libraries, the others are still segmented
                self._fail(task, error)

    def _run(self, tasks: Sequence[_Task]) -> None:
        began = time.perf_counter()
        all_logits = None
        try:
            all_logits = self.predictor.run([task.prepared for task in tasks])
        except Exception as error:
            if len(tasks) == 1:
                return self._fail(tasks[0], error)
        # One by one where they were too much together; not above, where the error still holds their memory.
        if all_logits is None:
            for task in tasks:
                self._run([task])
            return
        for task, logits in zip(tasks, all_logits, strict=True):
            task.logits = logits
            task.prepared.seconds["network"] = (time.perf_counter() - began) / len(tasks)

    def _write(self, tasks: Sequence[_Task]) -> None:
        for task in tasks:
            began = time.perf_counter()
            try:
                prediction = self.predictor.finish(task.prepared, task.logits)
                if self.strict and prediction.flags:
                    self._refuse(task, prediction)
                    continue
                contents, left_out = self.outputs.encode(prediction, task.path)
                self.outputs.make_room(task.stem, contents)
                self.ledger.forget(task.stem)
                # Of another content or model, or left out.
                outdated = set(KINDS if task.kinds is None else task.kinds) - set(task.kept)
                self.outputs.remove(task.stem, outdated.union(self.outputs.kinds) - contents.keys())
                self.outputs.write(task.stem, contents)
                seconds = sum(task.prepared.seconds.values()) + time.perf_counter() - began
                row = _row(task, prediction, left_out, seconds)
                if task.content:
                    kinds = [kind for kind, file in self.outputs.targets(task.stem).items() if file.is_file()]
                    self.ledger.add(task.stem, task.content, row, [*kinds, *task.kept])
                task.outcome = Outcome(row)
            except Exception as error:
                self._fail(task, error, isinstance(error, LungsegError) and disk_is_to_blame(error))
            finally:
                task.prepared = task.logits = None

    def _refuse(self, task: _Task, prediction: Prediction) -> None:
        """Let a flagged radiograph fail, but tell what was seen of it."""
        reasons = "; ".join(prediction.flags.values())
        # What an earlier run wrote of it does not stay.
        self.ledger.forget(task.stem)
        self._fail(task, LungsegError(reasons, task.path, "look at it, and segment it without --strict"))
        row = replace(task.outcome.row, quality=prediction.quality, flags=" ".join(prediction.flags))
        task.outcome = replace(task.outcome, row=row)

    def _fail(self, task: _Task, error: Exception, fatal: bool = False) -> None:
        """Note the failure, and remove what an earlier run wrote unless the ledger says that it still holds.

        Nothing is removed because of a file that is not there or cannot be read.
        """
        try:
            if task.content and not self.ledger.is_of(task.stem, task.content):
                self.outputs.remove(task.stem, task.kinds)
                self.ledger.forget(task.stem)
        except LungsegError as stuck:
            error, fatal = stuck, fatal or disk_is_to_blame(stuck)
        self._disk_failed |= fatal
        task.outcome = Outcome(_failed(task.path, error), fatal=error if fatal else None)


def _row(task: _Task, prediction: Prediction, left_out: str, seconds: float) -> Row:
    return Row(
        file=str(task.path),
        status="flagged" if prediction.flags else "ok",
        reason="; ".join(filter(None, (*prediction.flags.values(), left_out))),
        name=str(task.stem),
        **measurements(prediction.labels, prediction.radiograph.spacing),
        spacing_kind=prediction.radiograph.spacing_kind,
        quality=prediction.quality,
        flags=" ".join(prediction.flags),
        seconds=round(seconds, 3),
    )


def _failed(path: Path, error: Exception) -> Row:
    told = as_lungseg_error(error, "it could not be segmented", path)
    # What is told of a result's file says which input it is of.
    reason = str(told) if str(told.where) == str(path) else f"{escape_control(path)}: {told}"
    return Row(file=str(path), status="failed", reason=reason)
