# SPDX-License-Identifier: Apache-2.0
"""The files of an evaluation: tables, pictures, and one page with all of them."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lungseg.metrics.agreement import DEFINITIONS, METRICS, POLICY
from lungseg.metrics.summary import summarise
from lungseg.model.weights import weights_hash
from lungseg.report.distribution import plot_distribution
from lungseg.report.outlines import Drawing
from lungseg.report.page import jpeg_uri, png_uri, write_page
from lungseg.report.run_facts import run_facts
from lungseg.report.table import safe_cells
from lungseg.report.text import (
    SUMMARY_HEADER,
    format_value,
    headline,
    headline_of,
    summary_cells,
    summary_groups,
)
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path
from lungseg.utils.text import escape_control, shorten_list
from lungseg.version import __version__

# Cases are ranked by this metric.
RANKED_BY = "dice"
_WORST, _OTHERS = 6, 3
_LEFT_OUT_SHOWN = 10
_FIRST_COLUMNS = ("name", "set", "extent", "file")
# The page's table has these; all figures are in the viewer and in `cases.csv`.
_COLUMNS = {
    "dice": "Dice",
    "iou": "IoU",
    "hd95": "HD95",
    "assd": "ASSD",
    "nsd": "Surface Dice",
    "dice_right": "Dice, right",
    "dice_left": "Dice, left",
    "dice_heart": "Dice, heart",
}
# The pictures of more cases are not copied into the page, but linked: it would have over ten megabytes.
MOST_EMBEDDED = 200

Case = dict[str, Any]


def picture_file(folder: str | PathLike[str], name: str) -> Path:
    """Return the file of a case's radiograph without drawing, in the folder of an evaluation."""
    return Path(folder, "pictures", f"{name}.jpg")


def write_evaluation(
    rows: Sequence[Case],
    output_dir: str | PathLike[str],
    pictures: Mapping[str, Mapping[str, Any]],
    title: str = "Evaluation",
    weights: str | PathLike[str] | None = None,
    data: str | None = None,
    excluded: Sequence[str] = (),
    warning: str | None = None,
) -> dict[str, Any]:
    """Write `cases.csv`, `summary.json`, `distribution.png` and `index.html`.

    Each file is there whole or not at all, and the tables come first.

    Args:
        rows: one dict per case: `name` (unique), `set`, `file` (the image, may be missing) and the values
            of `lungseg.metrics.agreement.case_metrics`.
        output_dir: folder to write to.
        pictures: name -> {"prediction", "reference"}, the outlines as :class:`lungseg.report.outlines.Drawing` has
            them, of the cases that have a `picture_file`.
        title: the page's title.
        weights: file of the weights that were evaluated; the page names it with its SHA-256, and shows curves and
            settings of the run whose folder it lies in.
        data: the data set's folder, whose name the page has.
        excluded: names of cases that could not be used, which are listed.
        warning: a sentence that leads the page, such as the one about cases that the weights were trained on.

    Returns:
        The summary (see `lungseg.metrics.summary.summarise`), with `title`, `data`, `weights`, `warning` (a sentence or
        None), `excluded` and `lungseg` (the version).

    Raises:
        LungsegError: there is no case, or the folder cannot be written to.
    """
    output_dir = Path(output_dir)
    if not rows:
        raise LungsegError(
            "there is no case to report", output_dir, "evaluate at least one pair of image and mask", code="no-case"
        )
    rows = sorted(rows, key=_worst_first)
    summary = {"title": title, "data": data, "lungseg": __version__, "weights": _weights(weights)}
    summary |= {"warning": warning, "excluded": list(excluded)} | summarise(rows)
    _write_csv(rows, output_dir / "cases.csv")
    with atomic_path(output_dir / "summary.json") as path:
        path.write_text(json.dumps(summary, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    plot_distribution(rows, output_dir / "distribution.png")
    context = _context(rows, summary) | {
        "weights": weights and f"{Path(weights).absolute().parent.name}/{Path(weights).name}",
        "run": weights and run_facts(Path(weights).absolute().parent),
        "plot": png_uri((output_dir / "distribution.png").read_bytes()),
        "linked": len(rows) > MOST_EMBEDDED,
        "items": (_item(row, pictures.get(row["name"]), output_dir, len(rows) <= MOST_EMBEDDED) for row in rows),
    }
    write_page(output_dir / "index.html", "evaluation.html", **context)
    return summary


def pictured_cases(rows: Sequence[Case]) -> dict[str, list[Case]]:
    """Choose the worst (at most 6), median and best (at most 3 each) cases by `RANKED_BY`, none twice."""
    ranked = [row for row in sorted(rows, key=_worst_first) if not math.isnan(row[RANKED_BY])]
    third = max(1, len(ranked) // 3)
    worst, others = min(_WORST, third), min(_OTHERS, third)
    middle = (len(ranked) - others) // 2
    wanted = {
        "worst": range(worst),
        "median": range(middle, middle + others),
        "best": range(len(ranked) - others, len(ranked)),
    }
    chosen: dict[str, list[Case]] = {}
    seen: set[int] = set()
    for kind, places in wanted.items():
        chosen[kind] = [ranked[place] for place in places if place < len(ranked) and place not in seen]
        seen.update(places)
    return chosen


def _worst_first(row: Case) -> tuple[bool, float, str]:
    value = row[RANKED_BY]
    return math.isnan(value), value, row["name"]


def _weights(path: str | PathLike[str] | None) -> dict[str, str] | None:
    if path is None:
        return None
    try:
        digest = weights_hash(path)
    except OSError as error:
        raise LungsegError(
            "the file of weights cannot be read", path, "check its name", code="weights-unreadable"
        ) from error
    return {"file": Path(path).name, "sha256": digest}


def _write_csv(rows: list[Case], path: Path) -> None:
    keys = [key for key in METRICS if any(key in row for row in rows)]
    columns = [*_FIRST_COLUMNS, *keys, "note"]
    with (
        atomic_path(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in rows:
            values = [row.get(key, math.nan) for key in keys]
            cells = ["" if math.isnan(value) else f"{value:.6g}" for value in values]
            first = safe_cells(row.get(key, "") for key in _FIRST_COLUMNS)
            writer.writerow([*first, *cells, *safe_cells([row.get("note", "")])])


def _item(row: Case, picture: Mapping[str, Any] | None, folder: Path, embedded: bool) -> dict[str, Any]:
    """Return a case as viewer.js takes it."""
    keys = [key for key in METRICS if key in row and not math.isnan(row[key])]
    texts = [("data set", row["set"]), *([("note", row["note"])] if row.get("note") else [])]
    figures = [*texts, *((METRICS[key], format_value(key, row[key])) for key in keys)]
    item: dict[str, Any] = {
        "title": escape_control(row["name"]),
        "figures": [(name, escape_control(value)) for name, value in figures],
    }
    if picture is None:
        return item
    file = picture_file(folder, row["name"])
    link = quote(os.fsencode(file.relative_to(folder)))
    prediction, reference = (Drawing(**picture[name]) for name in ("prediction", "reference"))
    # One line and one box to tick for all of the reference.
    path = "".join(reference.outlines.values())
    whole = replace(reference, outlines={"reference": path} if path else {})
    return item | {
        "plain": jpeg_uri(file.read_bytes()) if embedded else link,
        "width": prediction.width,
        "height": prediction.height,
        # The reference is seen where the prediction, on top of it, differs.
        "outlines": whole.layers(colour="#ffffff", dashed=True) + prediction.layers(),
        "marks": prediction.letters(),
    }


def _context(rows: list[Case], summary: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of `templates/evaluation.html` that do not need files."""
    weights, unused, how = summary["weights"], summary["excluded"], summary["bootstrap"]
    data = summary["data"] and Path(summary["data"]).absolute().name
    several, noted = len(summary["sets"]) > 1, any(row.get("note") for row in rows)
    columns = _columns(rows)
    places = {row["name"]: place for place, row in enumerate(rows)}
    return {
        "title": f"{summary['title']}, {data}" if data else summary["title"],
        "version": summary["lungseg"],
        "sha256": weights and weights["sha256"],
        "warning": summary["warning"],
        "unused": unused and f"Left out because they cannot be used: {shorten_list(unused, _LEFT_OUT_SHOWN)}.",
        "count": f"{summary['overall']['n']:,}",
        "of": headline_of(summary).partition(" ")[2].partition(" ")[2] or "all cases",
        "headline": headline(summary),
        "pictured": [
            (f"{kind} {number}", places[row["name"]], f"Dice {format_value(RANKED_BY, row[RANKED_BY])}")
            for kind, chosen in pictured_cases(rows).items()
            for number, row in enumerate(chosen, start=1)
        ],
        "header": SUMMARY_HEADER,
        "groups": [
            (caption, [summary_cells(key, figures) for key, figures in group["metrics"].items()])
            for caption, group in summary_groups(summary)
        ],
        "interval": f"Interval: bootstrap percentiles of the mean, {how['resamples']} resamples of the images, seed "
        f"{how['seed']}.",
        "case_header": ["case", *(["set"] if several else []), *columns.values(), *(["note"] if noted else [])],
        "cases": [
            [
                row["name"],
                *([row["set"]] if several else []),
                *(format_value(key, row.get(key)) for key in columns),
                *([row.get("note", "")] if noted else []),
            ]
            for row in rows
        ],
        "text_columns": (0, *([1] if several else []), 1 + several + len(columns)),
        "definitions": [*DEFINITIONS, *POLICY],
    }


def _columns(rows: list[Case]) -> dict[str, str]:
    """Return key -> title of the figures in the page's table; distances are in millimetres if every case has them."""
    unit = "mm" if all("hd95_mm" in row for row in rows) else "px"
    columns = {}
    for key, title in _COLUMNS.items():
        if key in ("hd95", "assd"):
            columns[f"{key}_{unit}"] = f"{title} ({unit})"
        elif key == "nsd":
            columns[f"nsd_{unit}"] = title
        elif any(key in row for row in rows):
            columns[key] = title
    return columns
