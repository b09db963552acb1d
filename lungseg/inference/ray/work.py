# SPDX-License-Identifier: Apache-2.0
"""The work that a process of the cluster does: radiographs become rows and files in the target."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lungseg.inference.ray.results import Known, Results, key_of
from lungseg.inference.ray.rows import Ending, Result
from lungseg.inference.ray.source import Input, Reader
from lungseg.inference.record_index import RecordIndex
from lungseg.io.content import content_hash
from lungseg.report.table import Row
from lungseg.utils.errors import LungsegError

# What segments comes with PyTorch and MONAI, which a process imports in its own way when it starts.
if TYPE_CHECKING:
    from lungseg.inference.pipeline import Pipeline
    from lungseg.inference.predictor import Predictor
    from lungseg.inference.workers import Job

_LABELS = "labels"


@dataclass(frozen=True)
class Work:
    """What a process needs to begin.

    Attributes:
        job: the settings; its kinds are those of files that are wanted besides the rows.
        settings: their hash, see :func:`lungseg.inference.ray.settings.settings_hash`.
        reader: finds the radiographs of a batch.
        results: the target.
        size: radiographs that go through the network together.
        scratch: folder for temporary files; None for the system's own.
        folder: the working directory, from which names of files begin that are not absolute.
    """

    job: Job
    settings: str
    reader: Reader
    results: Results
    size: int
    scratch: str | None = None
    folder: str = field(default_factory=os.getcwd)


class Task(NamedTuple):
    """A radiograph to segment.

    Attributes:
        source: the radiograph.
        stem: the name of its results.
        known: what is known of an earlier row.
        killer: processes were killed by it.
    """

    source: Input
    stem: Path
    known: Known | None
    killer: bool

    @property
    def key(self) -> str:
        """The key of its row."""
        return key_of(self.stem)


class Worker:
    """Segments radiographs with the pipeline of `lungseg predict`, which writes to a temporary folder.

    Args:
        work: the settings.
        predictor: the network.
        folder: an empty folder of its own.
    """

    def __init__(self, work: Work, predictor: Predictor, folder: Path) -> None:
        self._work, self._folder, self._kinds = work, folder, work.job.kinds
        results = folder / "results"
        results.mkdir()
        kinds = tuple(dict.fromkeys((_LABELS, *self._kinds)))
        job = replace(work.job, output=results, kinds=kinds)
        self._pipeline: Pipeline = job.pipeline(predictor, 0, RecordIndex(results))

    def __call__(self, tasks: Sequence[Task]) -> Iterator[tuple[Ending, Result | None]]:
        """Yield how each radiograph ended, in no order, and its result unless an earlier row stays.

        Raises:
            LungsegError: nothing can be written.
        """
        paths: dict[Path, Task] = {}
        for number, task in enumerate(tasks):
            try:
                if task.killer:
                    raise _kills_process(task.source)
                path = self._local(task.source, number)
            except LungsegError as error:
                yield self._ended(task, self._failed(task, error))
                continue
            if task.known and self._holds(task, task.known, path):
                yield task.known.ending(task.source.file), None
            else:
                paths[path] = task
        outcomes = self._pipeline([(path, task.stem) for path, task in paths.items()])
        for path, outcome in zip(paths, outcomes, strict=True):
            if outcome.fatal:
                raise outcome.fatal
            yield self._ended(paths[path], self._finish(path, paths[path], outcome.row))
        shutil.rmtree(self._folder / "inputs", ignore_errors=True)

    def _local(self, source: Input, number: int) -> Path:
        """Return the file of a radiograph, or a temporary one with its content."""
        if source.read is None:
            return Path(source.file)
        path = self._folder / "inputs" / str(number) / "radiograph"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read())
        return path

    def _holds(self, task: Task, known: Known, path: Path) -> bool:
        """Return whether an earlier row was made from this content, in the same way, and its files are there."""
        if self._work.job.overwrite or not known.content or content_hash(path) != known.content:
            return False
        if known.status == "failed":
            return known.code == "kills-process"
        if known.settings != self._work.settings or not known.kinds.issuperset(self._kinds):
            return False
        digests = {self._target(kind, task.stem): digest for kind, digest in known.saved.items()}
        sizes = self._work.results.storage.sizes(list(digests))
        return [str(size) for size in sizes] == [digest.partition(" ")[0] for digest in digests.values()]

    @staticmethod
    def _ended(task: Task, result: Result) -> tuple[Ending, Result | None]:
        """Return how a radiograph ended, and its result unless it was not read and an earlier row has its lungs."""
        if result.content or task.killer or task.known is None or task.known.status == "failed":
            return result.ending, result
        return result.ending._replace(unread=True), None

    def _failed(self, task: Task, error: LungsegError) -> Result:
        """Return the row of a radiograph that was not tried."""
        row = Row(file=task.source.file, status="failed", reason=str(error), code=error.code)
        # To read others again might kill this process too.
        content = content_hash(task.source.file) if task.source.read is None else None
        if content:
            self._remove_others(task, {})
        return Result(task.key, row, None, content or "", self._work.settings, kinds=self._kinds)

    def _finish(self, path: Path, task: Task, row: Row) -> Result:
        """Put the files of a radiograph into the target, and return its row."""
        entry = self._pipeline.records.find(task.stem)
        files = self._pipeline.outputs.targets(task.stem)
        contents = {kind: files[kind].read_bytes() for kind in entry.files}
        for kind in contents:
            files[kind].unlink()
        content = entry.content or content_hash(path) or ""
        saved = {kind: entry.files[kind] for kind in self._kinds if kind in contents}
        for kind in saved:
            self._work.results.storage.write(self._target(kind, task.stem), contents[kind])
        if content:
            self._remove_others(task, saved)
        name = task.source.file
        if name != str(path):
            row = replace(row, file=name, reason=row.reason.replace(str(path), name))
        return Result(task.key, row, contents.get(_LABELS), content, self._work.settings, saved, self._kinds)

    def _remove_others(self, task: Task, saved: Mapping[str, str]) -> None:
        """Remove the files of an earlier row of the radiograph that are not among those that are saved now."""
        for kind in task.known.saved.keys() - saved.keys() if task.known else ():
            self._work.results.storage.remove(self._target(kind, task.stem))

    def _target(self, kind: str, stem: Path) -> str:
        """Return where a file lies below the root of the target."""
        outputs = self._pipeline.outputs
        (file,) = outputs.targets(stem, [kind]).values()
        path = file.relative_to(outputs.folder).as_posix()
        # All names in S3 are UTF-8.
        return key_of(path) if self._work.results.storage.remote else path


def _kills_process(source: Input) -> LungsegError:
    from lungseg.inference.schedule import kills_process

    return kills_process(source.file)
