# SPDX-License-Identifier: Apache-2.0
"""The views of the results that `lungseg predict` writes at its end: `report.csv`, `report.json`, `report.html`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

from lungseg.report.gallery import write_gallery
from lungseg.report.manifest import write_manifest
from lungseg.report.table import Row, write_csv
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import writing_failed
from lungseg.utils.signals import stops_held_back

_NAMES = ("report.csv", "report.json", "report.html")


def write_reports(folder: str | PathLike[str], rows: Sequence[Row], run: Mapping[str, Any]) -> None:
    """Write `report.csv`, `report.json` and `report.html`, each whole or not at all.

    Everything comes from the rows, also those of earlier runs and of other processes, and from the files
    `thumbnails/{name}.jpg` in the folder.

    Args:
        folder: the results' folder.
        rows: of all files, in the inputs' order.
        run: facts of the run, as JSON can hold them. The page shows "weights" ({"file", "sha256"}) and "stopped" (why
            the run did not finish, in words) if they are there.

    Raises:
        LungsegError: a file cannot be written.
    """
    folder = Path(folder)
    write_csv(folder / "report.csv", rows)
    write_manifest(folder / "report.json", rows, run)
    write_gallery(folder / "report.html", rows, run)


def remove_reports(folder: str | PathLike[str]) -> None:
    """Remove the views of an earlier run, which would be wrong if this one were killed.

    Raises:
        LungsegError: a file cannot be removed, for example because another program has it open.
    """
    for name in _NAMES:
        file = Path(folder, name)
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise writing_failed(error, file) from error


@contextmanager
def reporting(folder: str | PathLike[str], rows: Sequence[Row], run: Mapping[str, Any]) -> Iterator[None]:
    """Write the views when the block ends, however it ends, with the rows that are there by then.

    Adds "started" (ISO 8601), "seconds" and, when the block fails or is interrupted, "stopped" to the facts `run`;
    see :func:`write_reports`. An error of the block goes on.

    Raises:
        LungsegError: a file cannot be written, and the block itself did not fail.
    """
    began = time.perf_counter()
    run = {**run, "started": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        yield
    except BaseException as error:
        run |= {"seconds": _since(began), "stopped": _describe(error)}
        with suppress(LungsegError), stops_held_back():
            write_reports(folder, rows, run)
        raise
    with stops_held_back():
        write_reports(folder, rows, run | {"seconds": _since(began)})


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 3)


def _describe(error: BaseException) -> str:
    return "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
