# SPDX-License-Identifier: Apache-2.0
"""`report.html` of `lungseg predict`: all radiographs of a run on one page, to look through."""

from __future__ import annotations

import base64
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from os import PathLike
from pathlib import Path
from urllib.parse import quote

from lungseg import __version__
from lungseg.files import atomic_path
from lungseg.report.histogram import histogram
from lungseg.report.manifest import STATUSES
from lungseg.report.page import document_parts
from lungseg.report.rows import Row

_ORDERS = {
    "worst": "worst first",
    "best": "best first",
    "small": "smallest lungs first",
    "large": "largest lungs first",
    "unequal": "most unequal lungs first",
    "name": "by name",
}
_LEGEND = (
    "Blue with R: right lung; orange with L: left lung, as the patient's sides. Areas are of the visible lung field. A "
    "picture leads to its overlay at full size. A bar of a chart shows its images alone."
)


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
    """Sort key: failures, then by rising quality; where it is unknown, the flagged come before all, the others last."""
    unknown = -1.0 if row.flags else 2.0
    quality = unknown if row.quality is None else row.quality
    return row.status != "failed", quality, -len(row.flags.split()), row.file


def _asset(kind: str) -> str:
    return files("lungseg.report").joinpath(f"gallery.{kind}").read_text(encoding="utf-8")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _body(rows: Sequence[Row], run: dict, folder: Path) -> Iterator[str]:
    common = _common_folder(rows)
    # Square millimetres of some and pixels of others cannot be compared; shares of the picture can.
    metric = all(row.lungs_mm2 is not None for row in rows if row.lungs_px is not None)
    yield f'<p class="quiet">{" · ".join(_facts(rows, run, common))}</p>'
    yield '<div class="charts">'
    yield from _charts(rows, metric)
    yield "</div>"
    yield from _controls(rows)
    yield f'<p class="quiet">{_LEGEND}</p>'
    yield '<ul id="cards">'
    for row in sorted(rows, key=worst_first):
        yield _card(row, folder, common, metric)
    yield "</ul>"


def _common_folder(rows: Sequence[Row]) -> str:
    """Return the folder that all files lie in, "" where there is none."""
    try:
        return os.path.commonpath([os.path.dirname(row.file) for row in rows])
    except ValueError:
        return ""


def _facts(rows: Sequence[Row], run: dict, common: str) -> Iterator[str]:
    yield f"lungseg {__version__}"
    if "weights" in run:
        yield f"weights {escape(run['weights']['file'])} (SHA-256 {run['weights']['sha256'][:12]}…)"
    if common:
        yield f"files of <bdi>{escape(common)}</bdi>"
    if "stopped" in run:
        yield f"<strong>not finished: {escape(run['stopped'])}</strong>"


def _area(row: Row, side: str, metric: bool) -> float:
    """Return an area in square centimetres, or in percent of the picture."""
    if metric:
        return getattr(row, f"{side}_mm2") / 100
    return 100 * getattr(row, f"{side}_px") / (row.image_width * row.image_height)


def _charts(rows: Sequence[Row], metric: bool) -> Iterator[str]:
    unit = "cm²" if metric else "% of the picture"
    charts = {
        "quality": ("Quality: estimated Dice", lambda row: row.quality),
        "area": (
            f"Area of both lungs, {unit}",
            lambda row: None if row.lungs_px is None else _area(row, "lungs", metric),
        ),
        "ratio": ("Area of the left lung to the right", lambda row: row.left_right_ratio),
    }
    for key, (title, value) in charts.items():
        groups = {status: [value(row) for row in rows if row.status == status] for status in ("ok", "flagged")}
        known = {status: [number for number in numbers if number is not None] for status, numbers in groups.items()}
        if any(known.values()):
            yield histogram(title, key, known)


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
        f'<label><input type="checkbox" name="{name}" value="{escape(value)}"> {escape(value)} '
        f'<span class="quiet">{count:,}</span></label>'
        for value, count in counts.items()
    )
    return f"<fieldset><legend>{title}</legend>{boxes}</fieldset>"


def _card(row: Row, folder: Path, common: str, metric: bool) -> str:
    name = os.path.relpath(row.file, common) if common else row.file
    data = {"status": row.status, "flags": row.flags}
    if row.quality is not None:
        data["quality"] = f"{row.quality:.4f}"
    lines = [f'<p class="name" title="{escape(row.file)}"><bdi>{escape(name)}</bdi></p>']
    quality = "" if row.quality is None else f" quality {row.quality:.2f}"
    lines.append(f'<p><span class="badge">{row.status}</span>{quality}</p>')
    if row.reason:
        lines.append(f'<p class="reason">{escape(row.reason.removeprefix(f"{row.file}: "))}</p>')
    if row.lungs_px is not None:
        data["area"] = f"{_area(row, 'lungs', metric):.4f}"
        lines.append(f'<p class="quiet">{_sizes(row)}</p>')
    if row.left_right_ratio is not None:
        data["ratio"] = str(row.left_right_ratio)
    attributes = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
    return f'<li class="{row.status}"{attributes}>{_picture(row, name, folder)}{"".join(lines)}</li>'


def _sizes(row: Row) -> str:
    metric = row.lungs_mm2 is not None
    unit = "cm²" if metric else "%"
    sides = " · ".join(
        f"{side[0].upper()} {_area(row, side, metric):.{0 if metric else 1}f}" for side in ("right", "left")
    )
    kind = " at the detector" if row.spacing_kind == "detector" else ""
    ratio = "" if row.left_right_ratio is None else f" · L/R {row.left_right_ratio:.2f}"
    return f"{sides} {unit}{kind}{ratio}"


def _picture(row: Row, name: str, folder: Path) -> str:
    thumbnail, overlay = folder / "thumbnails" / f"{row.name}.jpg", Path("overlays", f"{row.name}.png")
    if not row.name or not thumbnail.is_file():
        return '<div class="none">no picture</div>'
    data = base64.b64encode(thumbnail.read_bytes()).decode("ascii")
    image = f'<img loading="lazy" decoding="async" alt="{escape(name)}" src="data:image/jpeg;base64,{data}">'
    return f'<a href="{quote(os.fsencode(overlay))}">{image}</a>' if (folder / overlay).is_file() else image
