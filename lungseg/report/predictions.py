# SPDX-License-Identifier: Apache-2.0
"""What `lungseg predict` leaves to look at when it ends: `report.json` and `report.html`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path

from lungseg.report.gallery import write_gallery
from lungseg.report.manifest import write_manifest
from lungseg.report.table import Row
from lungseg.utils.errors import LungsegError


def write_reports(folder: str | PathLike, rows: Sequence[Row], run: dict) -> None:
    """Write `report.json` and `report.html`, each whole or not at all.

    Everything comes from the rows, also those of earlier runs and of other processes, and from the files
    `thumbnails/{name}.jpg` that lie in the folder.

    Args:
        folder: the results' folder.
        rows: of all files, in the inputs' order.
        run: facts of the run for the record, as JSON can hold them. The page shows "weights" ({"file", "sha256"}) and
            "stopped" (why the run did not come to its end, in words) where they are there.

    Raises:
        LungsegError: a file cannot be written.
    """
    folder = Path(folder)
    write_manifest(folder / "report.json", rows, run)
    write_gallery(folder / "report.html", rows, run)


@contextmanager
def reporting(folder: str | PathLike, rows: Sequence[Row], run: dict) -> Iterator[None]:
    """Write the reports when the block ends, however it ends, with what `rows` holds by then.

    Adds "started" (ISO 8601), "seconds" and, when the block fails or is interrupted, "stopped" to the facts `run`;
    see :func:`write_reports`. An error of the block goes on.

    Raises:
        LungsegError: a file cannot be written, where the block itself went well.
    """
    began = time.perf_counter()
    run = {**run, "started": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        yield
    except BaseException as error:
        run |= {"seconds": _since(began), "stopped": _in_words(error)}
        with suppress(LungsegError):
            write_reports(folder, rows, run)
        raise
    write_reports(folder, rows, run | {"seconds": _since(began)})


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 3)


def _in_words(error: BaseException) -> str:
    return "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
