# SPDX-License-Identifier: Apache-2.0
"""One COCO file for a whole run, made of those of its radiographs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lungseg.inference.kinds import image_name
from lungseg.inference.outputs import Outputs
from lungseg.inference.record_index import RecordIndex
from lungseg.inference.records import digest_of
from lungseg.io.coco import merge_coco
from lungseg.report.table import Row
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import writing_failed
from lungseg.utils.signals import stops_held_back

NAME = "annotations.coco.json"


@contextmanager
def annotating(outputs: Outputs, rows: Sequence[Row]) -> Iterator[None]:
    """Write the COCO file of the whole run when the block ends, however it ends, with the rows that are there by then.

    Args:
        outputs: the results. Without `coco` among its kinds, the file is written where annotations of an earlier run
            hold.
        rows: of all files, in the inputs' order.

    Raises:
        LungsegError: the file cannot be written, and the block itself did not fail.
    """
    try:
        yield
    except BaseException:
        with suppress(LungsegError), stops_held_back():
            _write_annotations(outputs, rows)
        raise
    with stops_held_back():
        _write_annotations(outputs, rows)


def remove_annotations(folder: Path) -> None:
    """Remove the COCO file of an earlier run, which would be wrong if this one were killed.

    Raises:
        LungsegError: it cannot be removed.
    """
    try:
        (folder / NAME).unlink(missing_ok=True)
    except OSError as error:
        raise writing_failed(error, folder / NAME) from error


def _write_annotations(outputs: Outputs, rows: Sequence[Row]) -> None:
    asked = "coco" in outputs.kinds
    if not asked and not (outputs.folder / "coco").is_dir():
        return
    index = RecordIndex.read(outputs.folder, {row.name for row in rows})
    digests = ((row, index.find(Path(row.name)).files.get("coco")) for row in rows if index.knows(row.name))
    holding = [(row, digest) for row, digest in digests if digest]
    if asked or holding:
        merge_coco(outputs.folder / NAME, _parts(outputs, holding))


def _parts(outputs: Outputs, rows: Iterable[tuple[Row, str]]) -> Iterator[tuple[str, bytes]]:
    """Yield an image's name and the content of its COCO file, for each row with the recorded digest of that file."""
    for row, digest in rows:
        (file,) = outputs.targets(Path(row.name), ["coco"]).values()
        try:
            content = file.read_bytes()
        except OSError:
            continue
        if digest_of(content) == digest:
            yield image_name(Path(row.name), row.file), content
