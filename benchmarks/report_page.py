# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.report_page`: how fast `report.html` is in Chromium, opened from the file system."""

from __future__ import annotations

import random
import sys
import tempfile
from dataclasses import fields
from pathlib import Path
from statistics import median

from benchmarks.machine import describe
from benchmarks.record import ROOT, load, publish, save, show
from benchmarks.tables import NOT_MEASURED, markdown_table
from lungseg.data.phantoms import phantom
from lungseg.report.outlines import find_outlines
from lungseg.report.predictions import write_reports
from lungseg.report.table import Row
from lungseg.report.thumbnails import encode_thumbnail
from lungseg.utils.errors import UsageError
from recipes.command import add_trial, parser, run

COUNTS = (100, 1000, 10_000)
_TIMES = 5
_DIFFERENT = 8
# Name -> what a user does, in JavaScript; `round` counts the rounds.
ACTIONS = {
    "search": "type(`${round}00`)",
    "filter": "document.querySelector('[value=flagged]').click()",
    "sort": "order('column:' + ['quality', 'lungs_px', 'seconds', 'ctr', 'right_px'][round % 5])",
    "sort names": "order(round % 2 ? 'column:file' : 'name')",
    "next": "press('j')",
    "last": "press(round % 2 ? 'Home' : 'End')",
    "table": "press('t')",
}
_HELPERS = """
const round = arguments[0], form = document.getElementById("controls");
const changed = () => form.dispatchEvent(new Event("input"));
const type = text => { form.search.value = text; changed(); };
const order = name => { form.order.value = name; changed(); };
const press = key => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const began = performance.now();
"""
# A task that is queued in a frame runs when that frame was drawn.
_DRAWN = "; await new Promise(done => requestAnimationFrame(() => setTimeout(done))); return performance.now() - began;"


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the table."""
    options = parser("benchmarks.report_page", __doc__ or "")
    add_trial(options)
    chosen = options.parse_args(arguments)
    numbers = load("report_page", None)
    if not chosen.tables_only:
        pages = [measure(count) for count in (COUNTS[:1] if chosen.trial else COUNTS)]
        numbers = {"machine": describe(), "pages": pages}
    if chosen.trial:
        show(tables(numbers))
        return
    if not chosen.tables_only:
        save("report_page", numbers)
    publish(tables(numbers))


def measure(count: int) -> dict:
    """Write the page of `count` radiographs, and use it.

    Returns:
        {"radiographs", "page_bytes", "heap_bytes", "load", and each of `ACTIONS`}: medians in milliseconds, from what
        the user does until it is drawn.

    Raises:
        UsageError: Chromium or its driver is not installed.
    """
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from browser_support import CHROMIUM, DRIVER, Browser

    if not (CHROMIUM and DRIVER):
        raise UsageError("chromium or chromedriver is not installed", remedy="install both")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_results(folder, count)
        found = {"radiographs": count, "page_bytes": (folder / "report.html").stat().st_size}
        browser = Browser(folder / "profile")
        try:
            loads = []
            for _ in range(_TIMES):
                browser.open((folder / "report.html").as_uri())
                loads.append(browser.run("return performance.getEntriesByType('navigation')[0].loadEventEnd"))
            found["load"] = median(loads)
            for action, script in ACTIONS.items():
                times = [browser.run(_HELPERS + script + _DRAWN, number) for number in range(_TIMES)]
                found[action] = median(times)
                browser.run(_HELPERS + "type('')" + _DRAWN, 0)
            found["heap_bytes"] = browser.run("return performance.memory.usedJSHeapSize")
        finally:
            browser.close()
    return found


def write_results(folder: Path, count: int) -> None:
    """Write the reports of radiographs that never were, and their small pictures; all columns have values."""
    draw = random.Random(0)
    phantoms = [phantom(number) for number in range(min(_DIFFERENT, count))]
    pictures = [encode_thumbnail(image, find_outlines(labels)) for image, labels in phantoms]
    (folder / "thumbnails").mkdir(parents=True)
    rows = [_row(number, draw) for number in range(count)]
    for number, row in enumerate(rows):
        if row.name:
            (folder / "thumbnails" / f"{row.name}.jpg").write_bytes(pictures[number % len(pictures)])
    write_reports(folder, rows, {})


def _row(number: int, draw: random.Random) -> Row:
    """Return a row; one in a hundred is failed, one in ten is flagged."""
    name = f"film_{number:05d}"
    file = f"radiographs/ward {number % 7}/{name}.png"
    if number % 100 == 99:
        return Row(file, "failed", f"{file}: the file is empty; copy or export it again.")
    values: dict = {}
    for field in fields(Row):
        if "int" in field.type:
            values[field.name] = draw.randrange(1, 1_000_000)
        elif "float" in field.type:
            values[field.name] = round(draw.random(), 4)
    values |= {"image_width": 1024, "image_height": 1024, "spacing_kind": "detector", "ctr_note": "view unknown"}
    if number % 10 == 3:
        flags = {"reason": "the estimated quality is low; look at it", "doubts": "low-quality", "notes": "tilted"}
        return Row(file, "flagged", name=name, **values, **flags)
    return Row(file, "ok", name=name, **values)


def tables(numbers: dict | None) -> dict[str, str]:
    """Return the table of the numbers that were kept, by its name."""
    if not numbers:
        return {"report-page": NOT_MEASURED}
    header = ["Radiographs", "Page", "Memory", "Load", *(name.capitalize() for name in ACTIONS)]
    rows = [
        [
            f"{page['radiographs']:,}",
            f"{page['page_bytes'] / 1e6:.1f} MB",
            f"{page['heap_bytes'] / 1e6:.0f} MB",
            *(f"{page[name]:.0f}" for name in ("load", *ACTIONS)),
        ]
        for page in numbers["pages"]
    ]
    note = "Milliseconds, medians of five, from what the user does until it is drawn. Memory: of the page's script."
    return {"report-page": f"{markdown_table(header, rows, ())}\n\n{note} {numbers['machine']}."}


if __name__ == "__main__":
    sys.exit(run(main))
