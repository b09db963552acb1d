# SPDX-License-Identifier: Apache-2.0
"""The folder or the place in S3 that a run writes to: taken by one run, and reported on at its end."""

from __future__ import annotations

import logging
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lungseg.inference.outputs import Outputs
from lungseg.inference.ray.results import FOLDER, Known, Results, key_of
from lungseg.inference.ray.rows import Ending, utf8
from lungseg.inference.ray.storage import Storage
from lungseg.inference.results_folder import remove_half_written, take_folder
from lungseg.io.content import content_hash
from lungseg.io.discovery import MARK
from lungseg.report.predictions import reporting
from lungseg.report.table import Row
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import private_files, remove_abandoned
from lungseg.utils.signals import stops_held_back

logger = logging.getLogger(__name__)

# The report is made in this process, from rows in its memory.
MOST_REPORTED = 100_000
_VIEWS = ("report.csv", "report.json", "report.html")


@contextmanager
def taken_target(outputs: Outputs, root: str, private: bool) -> Iterator[Storage]:
    """Take the target for one run, as far as that is possible: a folder has a lock, and S3 has none.

    Raises:
        UsageError: it cannot be written to, or another run writes to it.
        LungsegError: the disk is full.
    """
    storage = Storage(root)
    if storage.remote:
        if private:
            remedy = "leave out --private, and close the bucket to others"
            raise UsageError("--private is for folders of this machine", root, remedy, code="not-with-s3")
        storage.check()
        # By which these results are known, so that nobody segments them.
        storage.write(MARK, b"")
        yield storage
        return
    with ExitStack() as stack:
        if private:
            stack.enter_context(private_files())
        take_folder(stack, [], outputs, True, private)
        remove_abandoned(outputs.folder / FOLDER)
        try:
            yield storage
        except BaseException:
            with stops_held_back():
                remove_half_written(outputs.folder)
                remove_abandoned(outputs.folder / FOLDER)
            raise


def check_names_free(files: Sequence[tuple[str, str]], known: Mapping[str, Known], storage: Storage) -> None:
    """Refuse to replace the row of another radiograph, unless that is gone or has the same content.

    Raises:
        UsageError: there is such a row.
    """
    for file, stem in files:
        row = known.get(key_of(stem))
        if row is None or row.status == "failed" or os.path.realpath(row.file) == os.path.realpath(file):
            continue
        if row.content != content_hash(file) and (Storage(row.file).remote or os.path.exists(row.file)):
            what = f"{storage.root} already has a row called {stem}, of {row.file}"
            remedy = "choose another target, or replace them with --overwrite"
            raise UsageError(what, file, remedy, code="name-taken")


@contextmanager
def reported(
    results: Results, files: Sequence[tuple[str, str]], endings: Mapping[str, Ending], facts: Mapping[str, Any]
) -> Iterator[None]:
    """Write the report when the block ends, however it ends, with the rows that are there by then.

    Args:
        results: the rows.
        files: (input, the name of its results) of all radiographs, in order.
        endings: key -> how it ended; filled by the block.
        facts: about the run.

    Raises:
        LungsegError: the report cannot be written, and the block itself did not fail.
    """
    if len(files) > MOST_REPORTED:
        yield
        logger.info("No report is made of more than %s radiographs: read the Parquet files", f"{MOST_REPORTED:,}")
        return
    rows: list[Row] = []
    with ExitStack() as stack:
        remote = results.storage.remote
        folder = stack.enter_context(tempfile.TemporaryDirectory()) if remote else results.storage.root
        try:
            with reporting(folder, rows, facts):
                try:
                    yield
                except BaseException:
                    with suppress(LungsegError), stops_held_back():
                        rows += _rows_of(results, files, endings)
                    raise
                with stops_held_back():
                    rows += _rows_of(results, files, endings)
        except BaseException:
            with suppress(LungsegError), stops_held_back():
                _upload(Path(folder), results.storage)
            raise
        with stops_held_back():
            _upload(Path(folder), results.storage)


def _rows_of(results: Results, files: Iterable[tuple[str, str]], endings: Mapping[str, Ending]) -> list[Row]:
    """Return the rows of these radiographs in their order, under the names that they have now."""
    found = dict(results.rows())
    for key, ending in endings.items():
        if ending.unread:
            found[key] = Row(ending.file, ending.status, ending.reason, ending.code)
    rows = ((file, found.get(key_of(stem))) for file, stem in files)
    return [replace(row, file=file, reason=row.reason.replace(row.file, file)) for file, row in rows if row]


def _upload(folder: Path, storage: Storage) -> None:
    for name in _VIEWS if storage.remote else ():
        with suppress(FileNotFoundError):
            storage.write(name, (folder / name).read_bytes())


def replaced_rows(endings: Mapping[str, Ending], known: Mapping[str, Known]) -> dict[str, list[str]]:
    """Return file -> keys of the rows of earlier runs that this run has replaced, under the same name or another.

    The name of results depends on the other radiographs of a run: `a` becomes `a_png` beside `a_dcm`.

    Args:
        endings: key -> how it ended in this run.
        known: key -> what is known of earlier rows.
    """
    files = {utf8(ending.file) for ending in endings.values()}
    stale: dict[str, list[str]] = defaultdict(list)
    for key, row in known.items():
        ending = endings.get(key)
        if row.file in files if ending is None else not (ending.reused or ending.unread):
            stale[row.path].append(key)
    return stale
