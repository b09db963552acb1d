# SPDX-License-Identifier: Apache-2.0
"""`report.html` of `lungseg predict`: all radiographs of a run on one page, to look through."""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from os import PathLike
from pathlib import Path
from urllib.parse import quote

from lungseg.report.histogram import histogram
from lungseg.report.manifest import STATUSES
from lungseg.report.page import document_parts
from lungseg.report.table import Row
from lungseg.utils.files import atomic_path
from lungseg.version import __version__

_ORDERS = {
    "worst": "worst first",
    "best": "best first",
    "small": "smallest lungs first",
    "large": "largest lungs first",
    "unequal": "most unequal lungs first",
    "name": "by name",
}
_LEGEND = (
    "R, blue: right lung; L, orange: left lung (the patient's sides), with the area of the visible field; L/R: left to "
    "right. A picture leads to its overlay; a click on a bar shows its images alone."
)
_NO_SCRIPT = "The pictures need JavaScript; the figures are in report.csv too, and the pictures in the folder overlays."


def write_gallery(path: str | PathLike, rows: Sequence[Row], run: dict) -> None:
    """Write the page, one file without need of others: only the links to the full overlays lead out of it.

    The pictures are the files `thumbnails/{name}.jpg` beside it; they are read one at a time.

    Args:
        path: the HTML file.
        rows: of all files.
        run: see :func:`lungseg.report.predictions.write_reports`.

    Raises:
        LungsegError: the file cannot be written.
    """
    folder = Path(path).parent
    with (
        atomic_path(path) as temporary,
        # A file name may hold bytes that are no UTF-8.
        open(temporary, "w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        parts = document_parts(
            "Lungs of " + _counted(len(rows), "radiograph"), _body(rows, run, folder), _asset("css"), _asset("js")
        )
        for part in parts:
            file.write(f"{part}\n")


def worst_first(row: Row) -> tuple:
    """Sort key: rising quality, then failures; unknown quality comes before all others if flagged, else after them."""
    unknown = -1.0 if row.flags else 2.0
    quality = unknown if row.quality is None else row.quality
    return row.status == "failed", quality, -len(row.flags.split()), row.file


def _asset(kind: str) -> str:
    return files("lungseg.report").joinpath(f"gallery.{kind}").read_text(encoding="utf-8")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _body(rows: Sequence[Row], run: dict, folder: Path) -> Iterator[str]:
    common = _common_folder(rows)
    # Square millimetres of some and pixels of others cannot be compared; shares of the picture can.
    metric = all(row.lungs_mm2 is not None for row in rows if row.lungs_px is not None)
    yield f'<p class="quiet">{" · ".join(_facts(rows, run, common))}</p>'
    yield '<a class="skip" href="#controls">Skip the charts</a><div class="charts">'
    yield from _charts(rows, metric)
    yield "</div>"
    yield from _controls(rows)
    yield f'<p class="quiet">{_LEGEND}</p>'
    yield f"<noscript><p>{_NO_SCRIPT}</p></noscript>"
    yield '<ul id="cards"></ul><div id="end"></div>'
    # Thousands of elements with a picture each would make a browser crawl: the script makes those that are looked at.
    yield '<script type="application/json" id="rows">['
    for number, row in enumerate(sorted(rows, key=worst_first)):
        # Within a script element, "<" could end it.
        text = json.dumps(_card(row, folder, common, metric)).replace("<", r"\u003c")
        yield f",{text}" if number else text
    yield "]</script>"


def _common_folder(rows: Sequence[Row]) -> str:
    """Return the folder that all files lie in, "" where there is none."""
    try:
        return os.path.commonpath([os.path.dirname(row.file) for row in rows])
    except ValueError:
        return ""


def _facts(rows: Sequence[Row], run: dict, common: str) -> Iterator[str]:
    yield f"lungseg {__version__}"
    if "weights" in run:
        yield f"weights {escape(Path(run['weights']['file']).name)} (SHA-256 {run['weights']['sha256'][:12]}…)"
    if common:
        yield f"files of <bdi>{escape(common)}</bdi>"
    if "stopped" in run:
        yield f"<strong>not finished: {escape(run['stopped'])}</strong>"


def _area(row: Row, side: str, metric: bool) -> float:
    """Return an area in square centimetres, or in percent of the picture."""
    if metric:
        return getattr(row, f"{side}_mm2") / 100
    return 100 * getattr(row, f"{side}_px") / (row.image_width * row.image_height)


def _figures(row: Row, metric: bool) -> dict[str, float]:
    """Return what is charted and sorted by, as far as it is known."""
    found = {"quality": row.quality, "ratio": row.left_right_ratio}
    if row.lungs_px is not None:
        found["area"] = round(_area(row, "lungs", metric), 3)
    return {key: value for key, value in found.items() if value is not None}


def _charts(rows: Sequence[Row], metric: bool) -> Iterator[str]:
    titles = {
        "quality": "Quality: estimated Dice",
        "area": f"Area of both lungs, {_unit(rows) if metric else '% of the picture'}",
        "ratio": "Area of the left lung to the right",
    }
    figures = {status: [_figures(row, metric) for row in rows if row.status == status] for status in ("ok", "flagged")}
    for key, title in titles.items():
        known = {status: [found[key] for found in group if key in found] for status, group in figures.items()}
        if any(known.values()):
            yield histogram(title, key, known)


def _unit(rows: Sequence[Row]) -> str:
    kinds = {row.spacing_kind for row in rows if row.lungs_mm2 is not None}
    if "detector" not in kinds:
        return "cm²"
    return "cm² at the detector" if len(kinds) == 1 else "cm², some at the detector"


def _controls(rows: Sequence[Row]) -> Iterator[str]:
    yield '<form id="controls" hidden>'
    yield '<label>Name <input type="search" id="search" placeholder="part of it"></label>'
    options = "".join(f'<option value="{key}">{text}</option>' for key, text in _ORDERS.items())
    yield f'<label>Order <select id="order">{options}</select></label>'
    found = Counter(row.status for row in rows)
    yield _boxes("Status", "status", {status: found[status] for status in reversed(STATUSES) if found[status]})
    flags = Counter(flag for row in rows for flag in row.flags.split())
    if flags:
        yield _boxes("Flags", "flag", dict(flags.most_common()))
    yield '<p><output id="shown"></output> <button type="reset">Show all</button></p></form>'


def _boxes(title: str, name: str, counts: dict[str, int]) -> str:
    boxes = "".join(
        f'<label class="{escape(value)}"><input type="checkbox" name="{name}" value="{escape(value)}"> {escape(value)} '
        f'<span class="quiet">{count:,}</span></label>'
        for value, count in counts.items()
    )
    return f"<fieldset><legend>{title}</legend>{boxes}</fieldset>"


def _card(row: Row, folder: Path, common: str, metric: bool) -> dict:
    """Return what the script makes a card of."""
    card = {
        "name": os.path.relpath(row.file, common) if common else row.file,
        "file": row.file,
        "status": row.status,
        "reason": row.reason.removeprefix(f"{row.file}: "),
        "flags": row.flags.split(),
        **_figures(row, metric),
    }
    if row.lungs_px is not None:
        card["sizes"] = _sizes(row)
    if row.name:
        card |= _pictures(row.name, folder)
    return card


def _sizes(row: Row) -> list[str]:
    metric = row.lungs_mm2 is not None
    right, left = (f"{_area(row, side, metric):.{0 if metric else 1}f}" for side in ("right", "left"))
    sizes = [f"R {right} · L {left} {'cm²' if metric else '%'}"]
    sizes += ["at the detector"] if row.spacing_kind == "detector" else []
    return sizes if row.left_right_ratio is None else [*sizes, f"L/R {row.left_right_ratio:.2f}"]


def _pictures(name: str, folder: Path) -> dict[str, str]:
    """Return the content of the thumbnail and the relative link to the overlay, as far as they are there."""
    found = {}
    thumbnail, overlay = folder / "thumbnails" / f"{name}.jpg", Path("overlays", f"{name}.png")
    if thumbnail.is_file():
        found["picture"] = base64.b64encode(thumbnail.read_bytes()).decode("ascii")
    if (folder / overlay).is_file():
        found["overlay"] = quote(os.fsencode(overlay))
    return found
