# SPDX-License-Identifier: Apache-2.0
"""A process of the cluster: it loads the network once, segments batches and writes their rows."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungseg.inference.ray.ledger import Turn
from lungseg.inference.ray.results import key_of
from lungseg.inference.ray.rows import Ending, Result
from lungseg.inference.ray.settings import settings_hash
from lungseg.inference.ray.source import Input
from lungseg.inference.ray.work import Task, Work, Worker
from lungseg.utils.errors import LungsegError, as_lungseg_error
from lungseg.utils.files import writing_failed
from lungseg.utils.scratch import scratch_folder

if TYPE_CHECKING:
    import pyarrow as pa

# The column of the answers.
ENDED = "ended"


class Segmenter:
    """Segments batches of a dataset; an actor of Ray.

    An error that ends the run is an answer like others: Ray would try again what it sees raised.

    Args:
        work: what it needs.
        ledger: handle of the actor :class:`lungseg.inference.ray.ledger.Ledger`.
    """

    def __init__(self, work: Work, ledger: Any) -> None:
        self._work, self._ledger = work, ledger
        self._error: LungsegError | None = None
        try:
            self._load()
        except LungsegError as error:
            self._error = error

    def _load(self) -> None:
        from lungseg.utils.imports import import_monai_quickly, silence_libraries

        silence_libraries()
        import_monai_quickly()
        import torch

        torch.set_num_threads(1)
        if self._work.job.private:
            os.umask(0o077)
        # Whoever joins a cluster finds processes that were started elsewhere; S3 is the same from everywhere.
        with suppress(OSError):
            os.chdir(self._work.folder)
        self._predictor = self._work.job.predictor()
        if settings_hash(self._work.job, self._predictor) != self._work.settings:
            what = "this machine has another version of lungseg, or other weights, than the one that began the run"
            raise LungsegError(what, os.uname().nodename, "install the same on all machines", code="machines-differ")

    def __call__(self, batch: pa.Table) -> dict[str, list[bytes]]:
        """Segment a batch, write its rows, and return how each of its radiographs ended, pickled."""
        from ray.exceptions import RayError

        try:
            if self._error:
                raise self._error
            answer: list[Ending] | LungsegError = self._segment(self._work.reader.inputs(batch))
        except LungsegError as error:
            answer = error
        except RayError:
            raise
        # Ray would say which process failed, but not why.
        except OSError as error:  # of a temporary file
            folder = self._work.scratch or tempfile.gettempdir()
            answer = writing_failed(error, Path(error.filename or Path(folder, "radiograph")))
        except Exception as error:
            answer = as_lungseg_error(error, "a batch of radiographs could not be segmented")
        return {ENDED: [pickle.dumps(answer)]}

    def _segment(self, inputs: Sequence[Input]) -> list[Ending]:
        import ray

        files = [one.file for one in inputs]
        path = self._work.results.path(files)
        turn: Turn = ray.get(self._ledger.begin.remote(path, files))
        keys = [key_of(stem) for stem in turn.stems]
        # By a process that was killed after it had written them.
        if written := self._work.results.endings(path):
            # The others have rows that stay, in files of earlier runs.
            ended = (written.get(key) or turn.known[key].ending(file) for key, file in zip(keys, files, strict=True))
            endings = [ending._replace(file=file) for ending, file in zip(ended, files, strict=True)]
        else:
            found = self._make(inputs, turn, path)
            endings = [ending for ending, _ in found]
            if made := [result for _, result in found if result]:
                self._work.results.write(path, made)
        ray.get(self._ledger.end.remote(path))
        return endings

    def _make(self, inputs: Sequence[Input], turn: Turn, batch: str) -> list[tuple[Ending, Result | None]]:
        import ray

        tasks = [
            Task(one, Path(stem), turn.known.get(key_of(stem)), one.file in turn.killers)
            for one, stem in zip(inputs, turn.stems, strict=True)
        ]
        size = 1 if turn.again else self._work.size
        found: list[tuple[Ending, Result | None]] = []
        with scratch_folder(self._work.scratch) as folder:
            worker = Worker(self._work, self._predictor, folder)
            for start in range(0, len(tasks), size):
                if turn.again:
                    ray.get(self._ledger.alone.remote(batch, inputs[start].file))
                found += worker(tasks[start : start + size])
        return found
