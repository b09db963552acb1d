# SPDX-License-Identifier: Apache-2.0
"""The folder of results, taken by one run, or by runs of several parts, and made ready for it."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from lungseg.inference.annotations import remove_annotations
from lungseg.inference.kinds import KINDS
from lungseg.inference.outputs import Outputs
from lungseg.inference.part_records import PartRecord, parts_in_use, taken_part
from lungseg.inference.record_index import RecordIndex
from lungseg.inference.records import start_record
from lungseg.inference.schedule import note_kills
from lungseg.inference.under_way import noted_parts
from lungseg.io.content import content_hash
from lungseg.report.predictions import remove_reports
from lungseg.utils.errors import UsageError
from lungseg.utils.files import only_user, private_folder, remove_abandoned, usable_folder

logger = logging.getLogger(__name__)

# Held by a run, by a merge, and by a part for the moment in which it begins.
LOCK = "records.lock"
# Seconds that a part waits while another one makes the folder ready.
_PATIENCE = 60

_Files = Sequence[tuple[Path, Path]]


def take_folder(stack: ExitStack, files: _Files, outputs: Outputs, overwrite: bool, private: bool) -> RecordIndex:
    """Lock the output folder until the stack is closed, and make it ready for this run.

    Returns:
        What the record says about the results of these files.

    Raises:
        UsageError: it cannot be written to, another run or a part of one writes to it, or it has results of another
            file.
        LungsegError: the disk is full.
    """
    (private_folder if private else usable_folder)(outputs.folder)
    stack.enter_context(only_user(outputs.folder / LOCK))
    if at_work := parts_in_use(outputs.folder):
        remedy = "wait for its end, or choose another folder"
        raise UsageError(f"{at_work[0]} of a run writes to this folder", outputs.folder, remedy, code="folder-in-use")
    index = _index(files, outputs.folder)
    if not overwrite:
        _check_names_free(files, index)
    _start(outputs.folder)
    remove_half_written(outputs.folder)
    note_kills(index)
    return index


def take_part(
    stack: ExitStack, record: PartRecord, files: _Files, outputs: Outputs, overwrite: bool, private: bool
) -> RecordIndex:
    """Lock one part of a run in the output folder until the stack is closed, and make the folder ready for it.

    Half-written files stay: another part may be writing them.

    Returns:
        What the record says about the results of these files.

    Raises:
        UsageError: as `take_folder`, or this part is at work already, or a run with other parts or settings is.
        LungsegError: the disk is full.
    """
    folder, part = outputs.folder, record.part
    (private_folder if private else usable_folder)(folder)
    with only_user(folder / LOCK, wait=_PATIENCE):
        stack.enter_context(taken_part(folder, record))
        index = _index(files, folder)
        if not overwrite:
            _check_names_free(files, index)
        _start(folder)
        note_kills(index, part.number - 1, list(filter(part.has_record, noted_parts(folder))))
    return index


def remove_half_written(output: Path) -> None:
    """Remove the half-written files of processes that were killed; no process may be writing to the folder."""
    remove_abandoned(output, sub_folders=False)
    for kind in KINDS:
        remove_abandoned(output / kind)


def _start(output: Path) -> None:
    """Start the record in the output folder, and remove views of earlier runs that do not hold any more."""
    if start_record(output):
        logger.info("%s was made by an older version of lungseg: everything is segmented again", output)
    remove_reports(output)
    remove_annotations(output)


def _index(files: _Files, folder: Path) -> RecordIndex:
    return RecordIndex.read(folder, {str(stem) for _, stem in files})


def _check_names_free(files: _Files, index: RecordIndex) -> None:
    """Refuse to replace the results of another file, unless that file is gone or has the same content."""
    for path, stem in files:
        entry = index.find(stem)
        if not entry.kinds or entry.source == os.path.realpath(path):
            continue
        if os.path.exists(entry.source) and entry.content != content_hash(path):
            raise UsageError(
                f"{index.folder} already has results called {stem}, of {entry.source}",
                path,
                "choose another output folder, or replace them with --overwrite",
                code="name-taken",
            )
