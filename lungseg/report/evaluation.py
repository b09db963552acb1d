# SPDX-License-Identifier: Apache-2.0
"""What an evaluation leaves behind: tables, pictures, and one page with the lot."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Sequence
from html import escape
from os import PathLike
from pathlib import Path

import numpy as np

from lungseg.io import draw_overlay, write_png
from lungseg.metrics.agreement import DEFINITIONS, METRICS, POLICY
from lungseg.metrics.summary import summarise
from lungseg.model.weights import weights_hash
from lungseg.report.distribution import plot_distribution
from lungseg.report.page import document, embed_photo, embed_png, table
from lungseg.report.text import SUMMARY_HEADER, format_value, summary_cells, summary_groups
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path
from lungseg.utils.text import shorten_list
from lungseg.version import __version__

# Cases are ranked by this metric.
RANKED_BY = "dice"
_WORST, _OTHERS = 6, 3
_LEGEND = (
    "Blue: predicted right lung (R), orange: predicted left lung (L), as the patient's sides; black and white dashes: "
    "reference."
)
_LEFT_OUT_SHOWN = 10
_FIRST_COLUMNS = ("name", "set", "file")

LoadCase = Callable[[dict], tuple[np.ndarray, np.ndarray, np.ndarray]]


def write_evaluation(
    rows: Sequence[dict],
    output_dir: str | PathLike,
    load_case: LoadCase,
    title: str = "Evaluation",
    weights: str | PathLike | None = None,
    data: str | None = None,
    left_out: Sequence[str] = (),
    warning: str | None = None,
) -> dict:
    """Write `cases.csv`, `summary.json`, `distribution.png`, `pictures/*.png` and `index.html`.

    Each file is there whole or not at all, and the tables come first, so that they stay when a picture fails.

    Args:
        rows: one dict per case: `name` (unique), `set`, `file` (the image, may be missing) and what
            `lungseg.metrics.agreement.case_metrics` returns.
        output_dir: folder to write to; earlier pictures in it are replaced.
        load_case: returns the (image, prediction, reference) of a row, each (H, W); called for the pictured ones.
        title: the page's title.
        weights: file of the weights that were evaluated; named with its SHA-256.
        data: the data set's folder, which is named.
        left_out: names of cases that could not be used, which are named.
        warning: a sentence that leads the page, such as the one about cases that the weights were trained on.

    Returns:
        The summary (see `lungseg.metrics.summary.summarise`), with `title`, `data`, `weights`, `warning` (a sentence or
        None), `left_out` and `lungseg` (the version).

    Raises:
        LungsegError: there is no case, or the folder cannot be written to.
    """
    output_dir = Path(output_dir)
    if not rows:
        raise LungsegError("there is no case to report", output_dir, "evaluate at least one pair of image and mask")
    rows = sorted(rows, key=_worst_first)
    summary = {"title": title, "data": data, "lungseg": __version__, "weights": _weights(weights)}
    summary |= {"warning": warning, "left_out": list(left_out)} | summarise(rows)
    _write_csv(rows, output_dir / "cases.csv")
    with atomic_path(output_dir / "summary.json") as path:
        path.write_text(json.dumps(summary, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    plot_distribution(rows, output_dir / "distribution.png")
    pictures = _draw(pictured_cases(rows), load_case, output_dir / "pictures")
    page = _page(rows, summary, (output_dir / "distribution.png").read_bytes(), pictures)
    with atomic_path(output_dir / "index.html") as path:
        # A file name may hold bytes that are no UTF-8.
        path.write_text(page, encoding="utf-8", errors="backslashreplace")
    return summary


def pictured_cases(rows: Sequence[dict]) -> dict[str, list[dict]]:
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
    chosen, seen = {}, set()
    for kind, places in wanted.items():
        chosen[kind] = [ranked[place] for place in places if place < len(ranked) and place not in seen]
        seen.update(places)
    return chosen


def _worst_first(row: dict) -> tuple[bool, float, str]:
    value = row[RANKED_BY]
    return math.isnan(value), value, row["name"]


def _weights(path: str | PathLike | None) -> dict | None:
    if path is None:
        return None
    try:
        digest = weights_hash(path)
    except OSError as error:
        raise LungsegError("the file of weights cannot be read", path, "check its name") from error
    return {"file": Path(path).name, "sha256": digest}


def _write_csv(rows: list[dict], path: Path) -> None:
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
            writer.writerow([*(row.get(key, "") for key in _FIRST_COLUMNS), *cells, row.get("note", "")])


def _draw(cases: dict[str, list[dict]], load_case: LoadCase, folder: Path) -> list[str]:
    """Write a picture of each case; return figure elements for the page."""
    figures, written = [], set()
    for kind, rows in cases.items():
        for number, row in enumerate(rows, start=1):
            image, pred, reference = load_case(row)
            picture = draw_overlay(image, pred, reference)
            safe = re.sub(r"[^\w.-]+", "_", row["name"])[:80]
            written.add(folder / f"{kind}_{number}_{safe}.png")
            write_png(folder / f"{kind}_{number}_{safe}.png", picture)
            values = ", ".join(f"{METRICS[key]} {format_value(key, row[key])}" for key in (RANKED_BY, "hd95_px"))
            caption = f"{kind} {number}: {row['name']}"
            text = f"<strong>{escape(caption)}</strong><br>{escape(values)}"
            text += f"<br>{escape(row['note'])}" if row.get("note") else ""
            figures.append(f"<figure>{embed_photo(picture, caption)}<figcaption>{text}</figcaption></figure>")
    for old in folder.glob("*.png"):
        if re.match(rf"({'|'.join(cases)})_\d_", old.name) and old not in written:
            old.unlink()
    return figures


def _page(rows: list[dict], summary: dict, plot: bytes, pictures: list[str]) -> str:
    weights = summary["weights"]
    facts = [f"lungseg {summary['lungseg']}", f"{len(rows)} image{'s' * (len(rows) != 1)}"]
    facts += [summary["data"]] if summary["data"] else []
    facts += [f"weights {weights['file']} (SHA-256 {weights['sha256'][:12]}…)"] if weights else []
    unused = f"Left out, as they cannot be used: {shorten_list(summary['left_out'], _LEFT_OUT_SHOWN)}."
    items = "".join(f"<li>{escape(text)}</li>" for text in (DEFINITIONS, *POLICY))
    how = summary["bootstrap"]
    interval = (
        f"Interval: bootstrap percentiles of the mean, {how['resamples']} resamples of the images, seed {how['seed']}."
    )
    return document(
        summary["title"],
        [
            f'<p class="quiet">{escape(" · ".join(facts))}</p>',
            *([f"<p><strong>{escape(summary['warning'])}</strong></p>"] if summary["warning"] else []),
            *([f"<p>{escape(unused)}</p>"] if summary["left_out"] else []),
            "<h2>Summary</h2>",
            *(
                table(
                    SUMMARY_HEADER,
                    [summary_cells(key, figures) for key, figures in group["metrics"].items()],
                    caption=caption,
                    text_columns=(0, len(SUMMARY_HEADER) - 1),
                )
                for caption, group in summary_groups(summary)
            ),
            f'<p class="quiet">{interval} Percentile and worst value are taken at the bad end: the 5th percentile of '
            "overlaps, the 95th of distances. n: images with that figure.</p>",
            "<h2>Distribution</h2>",
            embed_png(plot, "Dots: the cases' Dice and HD95 by data set"),
            '<p class="quiet">A dot is an image, the black stroke the median, the bar above it the mean and its '
            "interval.</p>",
            f"<h2>Worst, median and best cases</h2><p>{_LEGEND}</p>",
            f'<div class="pictures">{"".join(pictures)}</div>',
            "<h2>All cases, worst first</h2>",
            _case_table(rows),
            "<h2>How it is measured</h2>",
            f"<ul>{items}</ul>",
        ],
    )


def _case_table(rows: list[dict]) -> str:
    keys = [key for key in METRICS if any(key in row for row in rows)]
    header = ["case", "set", *(METRICS[key] for key in keys), "note"]
    cells = [
        [row["name"], row["set"], *(format_value(key, row.get(key)) for key in keys), row.get("note", "")]
        for row in rows
    ]
    return table(header, cells, text_columns=(0, 1, len(header) - 1), sortable=True)
