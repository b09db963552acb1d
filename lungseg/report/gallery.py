# SPDX-License-Identifier: Apache-2.0
"""`report.html` of `lungseg predict`: all radiographs of a run on one page."""

from __future__ import annotations

import base64
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lungseg.report.histogram import Histogram, histogram
from lungseg.report.manifest import STATUSES
from lungseg.report.outlines import STYLES
from lungseg.report.page import write_page
from lungseg.report.reasons import left_out, split_reason
from lungseg.report.table import Row
from lungseg.report.thumbnails import read_drawing
from lungseg.utils.text import escape_control
from lungseg.version import __version__

_ORDERS = {
    "worst": "worst first",
    "best": "best first",
    "small": "smallest lungs first",
    "large": "largest lungs first",
    "unequal": "most unequal lungs first",
    "heart": "widest hearts first",
    "name": "by name",
}
# The pictures of more radiographs are not copied into the page, but linked: it would have over twenty megabytes.
MOST_EMBEDDED = 500


def write_gallery(path: str | PathLike[str], rows: Sequence[Row], run: Mapping[str, Any]) -> None:
    """Write the page as one file; only the links to the full overlays lead out of it.

    The pictures are the files `thumbnails/{name}.jpg` beside it; they are read one at a time. A page of more than
    `MOST_EMBEDDED` radiographs links to them.

    Args:
        path: the HTML file.
        rows: of all files.
        run: see :func:`lungseg.report.predictions.write_reports`.

    Raises:
        LungsegError: the file cannot be written.
    """
    write_page(path, "gallery.html", **gallery_context(rows, run, Path(path).parent))


def gallery_context(rows: Sequence[Row], run: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the variables of `templates/gallery.html`; `folder` is that of the results."""
    common = _common_folder(rows)
    # They are long, and say more about a machine than its user wants to share.
    prefixes = [f"{place}{os.sep}" for place in (common, os.path.abspath(folder)) if place]
    columns = _columns(rows)
    linked = len(rows) > MOST_EMBEDDED
    # Square millimetres of some and pixels of others cannot be compared; shares of the picture can.
    metric = all(row.lungs_mm2 is not None for row in rows if row.lungs_px is not None)
    weights = run.get("weights")
    statuses = Counter(row.status for row in rows)
    doubts = Counter(name for row in rows for name in row.doubts.split())
    codes = Counter(row.code for row in rows if row.code)
    notes = Counter(name for row in rows for name in row.notes.split())
    return {
        "title": f"Lungs of {len(rows):,} radiograph{'s' * (len(rows) != 1)}",
        "version": __version__,
        "weights": weights and {"file": Path(weights["file"]).name, "sha256": weights["sha256"]},
        "common": os.path.basename(common),
        "stopped": run.get("stopped") and _without(prefixes, f"{run['stopped']}"),
        "left_out": list(left_out(rows)),
        "charts": list(_charts(rows, metric)),
        "orders": list(_ORDERS.items()),
        "statuses": [(status, statuses[status]) for status in reversed(STATUSES) if statuses[status]],
        "codes": codes.most_common(),
        "doubts": doubts.most_common(),
        "notes": notes.most_common(),
        "columns": columns,
        "linked": linked,
        "styles": {name: {"colour": colour, "dashed": dashed} for name, (colour, dashed) in STYLES.items()},
        "cards": (
            _card(row, columns, common, prefixes, metric) | _pictures(row.name, folder, linked)
            for row in sorted(rows, key=worst_first)
        ),
    }


def _columns(rows: Sequence[Row]) -> list[str]:
    """Return the names of the columns of `report.csv` that are not empty in all rows."""
    names = [field.name for field in fields(Row)]
    return [name for name in names if any(getattr(row, name) not in (None, "") for row in rows)]


def worst_first(row: Row) -> tuple[bool, float, int, str]:
    """Sort key: rising quality, then failures; unknown quality comes before all others if doubted, else after them."""
    unknown = -1.0 if row.doubts else 2.0
    quality = unknown if row.quality is None else row.quality
    return row.status == "failed", quality, -len(row.doubts.split()), row.file


def _common_folder(rows: Sequence[Row]) -> str:
    """Return the folder that all files lie in, absolute; "" if there is none but the root."""
    try:
        common = os.path.commonpath([os.path.dirname(os.path.abspath(row.file)) for row in rows])
    except ValueError:
        return ""
    return "" if os.path.dirname(common) == common else common


def _short(file: str, common: str) -> str:
    """Return a file's path in the common folder; without one, its name and that of its folder."""
    whole = os.path.abspath(file)
    return os.path.relpath(whole, common) if common else os.path.join(*Path(whole).parts[1:][-2:])


def _without(prefixes: Sequence[str], text: str) -> str:
    """Return a text in which no path begins with one of these."""
    for prefix in prefixes:
        text = re.sub(rf"(?<![^\s('\"]){re.escape(escape_control(prefix))}", "", text)
    return text


def _area(row: Row, side: str, metric: bool) -> float:
    """Return an area in square centimetres, or in percent of the picture."""
    pixels, area = getattr(row, f"{side}_px"), getattr(row, f"{side}_mm2")
    if metric:
        return float(area / 100)
    return float(100 * pixels / ((row.image_width or 0) * (row.image_height or 0)))


def _charts(rows: Sequence[Row], metric: bool) -> Iterator[Histogram]:
    titles = {
        "quality": "Quality: estimated Dice",
        "area": f"Area of both lungs, {_unit(rows) if metric else '% of the picture'}",
        "left_right_ratio": "Area of the left lung to the right",
        "ctr": "Cardiothoracic ratio",
    }
    for key, title in titles.items():
        known = {status: _known(key, rows, status, metric) for status in ("ok", "flagged")}
        if any(known.values()):
            yield histogram(title, key, known)


def _known(key: str, rows: Sequence[Row], status: str, metric: bool) -> list[float]:
    """Return the values of a column, or "area", that are known in the rows of a status."""
    values = (_lungs(row, metric) if key == "area" else getattr(row, key) for row in rows if row.status == status)
    return [value for value in values if value is not None]


def _lungs(row: Row, metric: bool) -> float | None:
    """Return the area of both lungs that radiographs are compared by."""
    return None if row.lungs_px is None else round(_area(row, "lungs", metric), 3)


def _unit(rows: Sequence[Row]) -> str:
    kinds = {row.spacing_kind for row in rows if row.lungs_mm2 is not None}
    if "detector" not in kinds:
        return "cm²"
    return "cm² at the detector" if len(kinds) == 1 else "cm², some at the detector"


def _card(row: Row, columns: Sequence[str], common: str, prefixes: Sequence[str], metric: bool) -> dict[str, Any]:
    """Return the data that the script makes a card and a line of the table of."""
    file, own = _short(row.file, common), os.path.dirname(os.path.abspath(row.file))
    prefixes = [*prefixes, os.path.join(own, "")]
    reason = _without(prefixes, row.reason.removeprefix(f"{escape_control(row.file)}: "))
    cells = (
        {name: getattr(row, name) for name in columns}
        | {"file": file}
        | ({"reason": reason} if "reason" in columns else {})
    )
    cells = {name: escape_control(cell) if isinstance(cell, str) else cell for name, cell in cells.items()}
    card: dict[str, Any] = {"title": escape_control(file), "cells": list(cells.values())}
    brief, refused = split_reason(reason) if row.status != "failed" else (reason, {})
    if refused:
        # The page says once, for all of them, which kinds of output were not written.
        card["brief"] = escape_control(brief)
    if row.lungs_px is not None:
        card |= {"area": _lungs(row, metric), "sizes": _sizes(row)}
    return card


def _sizes(row: Row) -> list[str]:
    metric = row.lungs_mm2 is not None
    right, left = (f"{_area(row, side, metric):.{0 if metric else 1}f}" for side in ("right", "left"))
    sizes = [f"R {right} · L {left} {'cm²' if metric else '%'}"]
    sizes += ["at the detector"] if row.spacing_kind == "detector" else []
    sizes += [] if row.left_right_ratio is None else [f"L/R {row.left_right_ratio:.2f}"]
    if row.ctr is not None:
        sizes.append(f"CTR {row.ctr:.2f} ({row.ctr_low:.2f} to {row.ctr_high:.2f})")
    return [*sizes, f"CTR {row.ctr_note}"] if row.ctr_note else sizes


def _pictures(name: str, folder: Path, linked: bool) -> dict[str, Any]:
    """Return the picture or the link to it, its outlines, and the link to the overlay, as far as they are there."""
    found: dict[str, Any] = {}
    if not name:
        return found
    thumbnail, overlay = Path("thumbnails", f"{name}.jpg"), Path("overlays", f"{name}.png")
    if (folder / thumbnail).is_file():
        if linked:
            found["thumbnail"] = _link(thumbnail)
        else:
            found["picture"] = base64.b64encode((folder / thumbnail).read_bytes()).decode("ascii")
        if drawing := read_drawing(folder / thumbnail):
            found["drawing"] = drawing
    if (folder / overlay).is_file():
        found["overlay"] = _link(overlay)
    return found


def _link(path: Path) -> str:
    return quote(os.fsencode(path))
