# SPDX-License-Identifier: Apache-2.0
"""The files of a cross-validation: a table of folds, a table of all cases, and a page that links the folds' pages."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungseg.metrics.agreement import METRICS
from lungseg.metrics.summary import summarise
from lungseg.report.columns import format_columns, write_csv
from lungseg.report.distribution import plot_distribution
from lungseg.report.page import png_uri, write_page
from lungseg.report.text import format_value
from lungseg.utils.files import atomic_path
from lungseg.utils.text import shorten_list
from lungseg.version import __version__

# The terminal and the page's first row show these; the files have all.
_FIRST = ("dice", "iou", "hd95_mm", "hd95_px", "assd_mm", "assd_px")
_SHOWN = 10
_FIRST_COLUMNS = ("name", "set", "extent", "file")


@dataclass(frozen=True)
class Fold:
    """A measured fold.

    Attributes:
        name: of its folder, which holds the folder `evaluation`.
        rows: of its cases, see :func:`lungseg.metrics.summarise`.
        warning: a sentence of its evaluation, or None.
    """

    name: str
    rows: list[dict[str, Any]]
    warning: str | None = None


def write_kfold(folds: Sequence[Fold], output: Path, excluded: Sequence[str] = ()) -> dict[str, Any]:
    """Write `kfold.csv` (a row a fold), `cases.csv` (a row a case), `kfold.json` and `index.html`.

    Args:
        folds: the measured folds; each case is in one.
        output: folder to write to, which holds the folds' folders.
        excluded: names of cases that could not be used.

    Returns:
        JSON-ready: `folds` (for each its name, the number of cases and the mean of each metric), `mean` and `sd` (of
        these means over the folds; the sample standard deviation), `cases` (figures over all cases, with bootstrap
        intervals), `sets` (the same for each data set), `extent`, `warnings`, `excluded`, `bootstrap`, `lungseg`.
    """
    rows = [{**row, "fold": fold.name} for fold in folds for row in fold.rows]
    summary = summarise(rows)
    parts = [_fold(fold, summary["extent"]) for fold in folds]
    keys = [key for key in METRICS if key in summary["overall"]["metrics"]]
    means = {key: [part["metrics"][key] for part in parts if part["metrics"].get(key) is not None] for key in keys}
    result = {
        "lungseg": __version__,
        "extent": summary["extent"],
        "folds": parts,
        "mean": {key: float(np.mean(values)) if values else None for key, values in means.items()},
        "sd": {key: float(np.std(values, ddof=1)) if len(values) > 1 else None for key, values in means.items()},
        "cases": summary["overall"],
        "sets": summary["sets"],
        "bootstrap": summary["bootstrap"],
        "warnings": [f"{fold.name}: {fold.warning}" for fold in folds if fold.warning],
        "excluded": list(excluded),
    }
    _write_tables(result, rows, keys, output)
    with atomic_path(output / "kfold.json") as path:
        path.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    _write_page(result, rows, output)
    return result


def format_kfold(result: dict[str, Any]) -> str:
    """Write the content of `kfold.json` as a table for the terminal: a line a fold, then their mean."""
    header, rows = _table(result)
    return format_columns([header, *rows])


def _fold(fold: Fold, extent: str) -> dict[str, Any]:
    # Lungs to different extents are never averaged.
    rows = [row for row in fold.rows if row.get("extent", "visible") == extent]
    metrics = {}
    for key in METRICS:
        values = [row[key] for row in rows if not math.isnan(row.get(key, math.nan))]
        if values:
            metrics[key] = float(np.mean(values))
    return {"fold": fold.name, "n": len(rows), "metrics": metrics}


def _first_keys(result: dict[str, Any]) -> list[str]:
    """Return the metrics of the first table: distances in millimetres only if all cases have them."""
    known = result["cases"]["metrics"]
    whole = all(known.get(key, {"n_excluded": 1})["n_excluded"] == 0 for key in ("hd95_mm", "assd_mm"))
    unit = "_px" if whole else "_mm"
    return [key for key in _FIRST if key in known and not key.endswith(unit)]


def _table(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    keys, cases = _first_keys(result), result["cases"]
    header = ["", "cases", *(METRICS[key].replace(", both lungs", "") for key in keys)]
    rows = [
        [part["fold"], str(part["n"]), *(format_value(key, part["metrics"].get(key)) for key in keys)]
        for part in result["folds"]
    ]
    rows.append(["mean of folds", "", *(format_value(key, result["mean"][key]) for key in keys)])
    rows.append(["standard deviation", "", *(format_value(key, result["sd"][key]) for key in keys)])
    rows.append(["all cases", str(cases["n"]), *(format_value(key, cases["metrics"][key]["mean"]) for key in keys)])
    intervals = (tuple(format_value(key, cases["metrics"][key][end]) for end in ("ci_low", "ci_high")) for key in keys)
    rows.append(["95 % interval", "", *(f"{low} to {high}" if low else "" for low, high in intervals)])
    return header, rows


def _write_tables(result: dict[str, Any], rows: list[dict[str, Any]], keys: list[str], output: Path) -> None:
    def cells(values: dict[str, float | None]) -> list[str]:
        known = (values.get(key) for key in keys)
        return ["" if value is None or math.isnan(value) else f"{value:.6g}" for value in known]

    lines = [[part["fold"], part["n"], *cells(part["metrics"])] for part in result["folds"]]
    figures = result["cases"]["metrics"]
    lines += [["mean", "", *cells(result["mean"])], ["sd", "", *cells(result["sd"])]]
    for name, item in (("all cases", "mean"), ("ci_low", "ci_low"), ("ci_high", "ci_high")):
        count = result["cases"]["n"] if item == "mean" else ""
        lines.append([name, count, *cells({key: figures[key][item] for key in keys})])
    write_csv(output / "kfold.csv", ["fold", "cases", *keys], lines)
    each = (
        [*(row.get(key, "") for key in ("fold", *_FIRST_COLUMNS)), *cells(row), row.get("note", "")] for row in rows
    )
    write_csv(output / "cases.csv", ["fold", *_FIRST_COLUMNS, *keys, "note"], each)


def _write_page(result: dict[str, Any], rows: list[dict[str, Any]], output: Path) -> None:
    keys, cases = _first_keys(result), result["cases"]["metrics"]
    header, lines = _table(result)
    count = len(result["folds"])
    plot = output / "distribution.png"
    plot_distribution([{**row, "set": row["fold"]} for row in rows], plot)
    write_page(
        output / "index.html",
        "kfold.html",
        title=f"Cross-validation, {count} folds",
        facts=[f"lungseg {result['lungseg']}", f"{len(rows)} images, each held out once"],
        warnings=result["warnings"],
        unused=result["excluded"]
        and f"Left out because they cannot be used: {shorten_list(result['excluded'], _SHOWN)}.",
        first=[
            {
                "title": METRICS[key].replace(", both lungs", ""),
                "mean": format_value(key, result["mean"][key]),
                "sd": format_value(key, result["sd"][key]),
                "low": format_value(key, cases[key]["ci_low"]),
                "high": format_value(key, cases[key]["ci_high"]),
            }
            for key in keys[:3]
        ],
        header=header,
        folds=[{"link": f"{line[0]}/evaluation/index.html", "cells": line} for line in lines[:count]],
        lines=lines[count:],
        plot=png_uri(plot.read_bytes()),
    )
