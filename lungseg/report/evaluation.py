# SPDX-License-Identifier: Apache-2.0
"""The files of an evaluation: tables, pictures, and one page with all of them."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from lungseg.io.overlay import draw_overlay
from lungseg.io.png import write_png
from lungseg.metrics.agreement import DEFINITIONS, METRICS, POLICY
from lungseg.metrics.summary import summarise
from lungseg.model.weights import weights_hash
from lungseg.report.distribution import plot_distribution
from lungseg.report.page import photo_uri, png_uri, write_page
from lungseg.report.table import safe_cells
from lungseg.report.text import SUMMARY_HEADER, format_value, summary_cells, summary_groups
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path
from lungseg.utils.text import shorten_list
from lungseg.version import __version__

# Cases are ranked by this metric.
RANKED_BY = "dice"
_WORST, _OTHERS = 6, 3
_LEFT_OUT_SHOWN = 10
_FIRST_COLUMNS = ("name", "set", "extent", "file")

Case = dict[str, Any]
LoadCase = Callable[[Case], tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]


def write_evaluation(
    rows: Sequence[Case],
    output_dir: str | PathLike[str],
    load_case: LoadCase,
    title: str = "Evaluation",
    weights: str | PathLike[str] | None = None,
    data: str | None = None,
    excluded: Sequence[str] = (),
    warning: str | None = None,
) -> dict[str, Any]:
    """Write `cases.csv`, `summary.json`, `distribution.png`, `pictures/*.png` and `index.html`.

    Each file is there whole or not at all, and the tables come first, so that they stay when a picture fails.

    Args:
        rows: one dict per case: `name` (unique), `set`, `file` (the image, may be missing) and the values
            of `lungseg.metrics.agreement.case_metrics`.
        output_dir: folder to write to; earlier pictures in it are replaced.
        load_case: returns the (image, prediction, reference) of a row, each (H, W); called for the pictured ones.
        title: the page's title.
        weights: file of the weights that were evaluated; the page names it with its SHA-256.
        data: the data set's folder, which the page names.
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
    pictures = _draw(pictured_cases(rows), load_case, output_dir / "pictures")
    plot = png_uri((output_dir / "distribution.png").read_bytes())
    write_page(output_dir / "index.html", "evaluation.html", plot=plot, pictures=pictures, **_context(rows, summary))
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


def _draw(cases: dict[str, list[Case]], load_case: LoadCase, folder: Path) -> list[dict[str, str]]:
    """Write a picture of each case; return what the page shows of them: URI, caption, figures and note."""
    shown, written = [], set()
    for kind, rows in cases.items():
        for number, row in enumerate(rows, start=1):
            image, pred, reference = load_case(row)
            picture = draw_overlay(image, pred, reference)
            safe = re.sub(r"[^\w.-]+", "_", row["name"])[:80]
            written.add(folder / f"{kind}_{number}_{safe}.png")
            write_png(folder / f"{kind}_{number}_{safe}.png", picture)
            figures = ", ".join(f"{METRICS[key]} {format_value(key, row[key])}" for key in (RANKED_BY, "hd95_px"))
            caption = f"{kind} {number}: {row['name']}"
            note = row.get("note", "")
            shown.append({"uri": photo_uri(picture), "caption": caption, "figures": figures, "note": note})
    for old in folder.glob("*.png"):
        if re.match(rf"({'|'.join(cases)})_\d_", old.name) and old not in written:
            old.unlink()
    return shown


def _context(rows: list[Case], summary: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of `templates/evaluation.html`, except the pictures."""
    weights, unused, how = summary["weights"], summary["excluded"], summary["bootstrap"]
    keys = [key for key in METRICS if any(key in row for row in rows)]
    return {
        "title": summary["title"],
        "facts": [
            f"lungseg {summary['lungseg']}",
            f"{len(rows)} image{'s' * (len(rows) != 1)}",
            *([summary["data"]] if summary["data"] else []),
            *([f"weights {weights['file']} (SHA-256 {weights['sha256'][:12]}…)"] if weights else []),
        ],
        "warning": summary["warning"],
        "unused": unused and f"Left out because they cannot be used: {shorten_list(unused, _LEFT_OUT_SHOWN)}.",
        "header": SUMMARY_HEADER,
        "groups": [
            (caption, [summary_cells(key, figures) for key, figures in group["metrics"].items()])
            for caption, group in summary_groups(summary)
        ],
        "interval": f"Interval: bootstrap percentiles of the mean, {how['resamples']} resamples of the images, seed "
        f"{how['seed']}.",
        "case_header": ["case", "set", *(METRICS[key] for key in keys), "note"],
        "cases": [
            [row["name"], row["set"], *(format_value(key, row.get(key)) for key in keys), row.get("note", "")]
            for row in rows
        ],
        "definitions": [DEFINITIONS, *POLICY],
    }
