# SPDX-License-Identifier: Apache-2.0
"""`lungseg merge`: one report of the parts in which machines segmented a collection."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from lungseg.inference.annotations import annotating
from lungseg.inference.choices import CROP_MARGIN
from lungseg.inference.outputs import Outputs
from lungseg.inference.part_records import PartRecord, check_parts_agree, parts_in_use, read_parts
from lungseg.inference.parts import Part
from lungseg.inference.results_folder import LOCK, remove_half_written
from lungseg.report.predictions import write_reports
from lungseg.report.table import Row
from lungseg.utils.files import only_user


@dataclass(frozen=True)
class Merged:
    """The parts of a run put together.

    Attributes:
        rows: of all files that are done, in the order of the inputs.
        missing: the files that parts have begun and not finished, as they were named.
        not_begun: the parts that have not begun; nothing is known of their files.
        at_work: the parts that a process is working on.
    """

    rows: list[Row]
    missing: list[str]
    not_begun: list[Part]
    at_work: list[Part]

    @property
    def is_complete(self) -> bool:
        """Whether every file of every part has a row."""
        return not (self.missing or self.not_begun)


def merge(folder: str | PathLike[str]) -> Merged:
    """Write the report on all parts of a run: `report.csv`, `report.json`, `report.html`, and COCO annotations if any.

    It may be called while parts are at work; the report then has what is done.

    Args:
        folder: the folder of results that the parts share.

    Raises:
        UsageError: another run, or another merge, writes to the folder.
        LungsegError: there is no part of a run (no-parts), parts differ in their settings (parts-differ), or a file
            cannot be written.
    """
    folder = Path(folder)
    records = read_parts(folder)
    check_parts_agree(folder, records)
    with only_user(folder / LOCK):
        merged = _put_together(records, parts_in_use(folder))
        if not merged.at_work:
            remove_half_written(folder)
        with ExitStack() as views:
            facts = records[0].facts
            outputs = Outputs(folder, facts["outputs"], facts.get("crop_margin", CROP_MARGIN))
            views.enter_context(annotating(outputs, merged.rows))
            write_reports(folder, merged.rows, _facts(records, merged))
    return merged


def _put_together(records: list[PartRecord], at_work: list[Part]) -> Merged:
    placed = {place: row for record in records for place, row in record.rows.items()}
    files = {place: file for record in records for place, file, _ in record.files}
    count, begun = records[0].part.count, {record.part.number for record in records}
    return Merged(
        [placed[place] for place in sorted(placed)],
        [files[place] for place in sorted(files.keys() - placed.keys())],
        [Part(number, count) for number in range(1, count + 1) if number not in begun],
        at_work,
    )


def _facts(records: list[PartRecord], merged: Merged) -> dict[str, object]:
    """Return the facts of the run for `report.json`: those that all parts share, and each part's own."""
    shared = {name: fact for name, fact in records[0].facts.items() if name in records[0].settings()}
    parts = [
        {"part": str(record.part), "files": len(record.files), "done": len(record.rows), "seconds": record.seconds}
        | {name: fact for name, fact in record.facts.items() if name not in shared}
        for record in records
    ]
    facts = shared | {"parts": parts}
    if not merged.is_complete:
        facts["stopped"] = _describe(merged)
    return facts


def _describe(merged: Merged) -> str:
    said = []
    if merged.missing:
        said.append(f"{len(merged.missing)} radiographs of begun parts are missing")
    if merged.not_begun:
        said.append(f"parts that have not begun: {', '.join(str(part.number) for part in merged.not_begun)}")
    return "; ".join(said)
