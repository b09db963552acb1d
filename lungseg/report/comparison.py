# SPDX-License-Identifier: Apache-2.0
"""The files of a comparison: a table of cases, the figures, and a page with the cases that differ most side by side."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungseg.metrics.agreement import DEFINITIONS, METRICS, is_distance
from lungseg.metrics.paired import differences_of
from lungseg.report.columns import format_columns, write_csv
from lungseg.report.page import write_page
from lungseg.report.paired_plot import HEIGHT, WIDTH, plot_differences
from lungseg.report.text import format_value
from lungseg.report.verdict import format_difference, signed
from lungseg.utils.files import atomic_path
from lungseg.utils.text import escape_control

# Cases are ranked by the largest difference in this metric.
RANKED_BY = "dice"
# The page holds the pictures of so many cases, those that differ most, and shows the first ones side by side.
_PICTURED, _SIDE_BY_SIDE = 200, 12
_COLUMNS = ("name", "set", "extent")

Rows = Sequence[Mapping[str, Any]]
DrawCase = Callable[[str], "dict[str, Any] | None"]


def write_comparison(result: dict[str, Any], rows: Sequence[Rows], output: Path, draw_case: DrawCase) -> None:
    """Write `comparison.csv`, `comparison.json` and `index.html`.

    Args:
        result: the content of `comparison.json`, see :func:`lungseg.evaluation.compare.compare`.
        rows: for each compared method the rows of the cases, in one order.
        output: folder to write to.
        draw_case: returns the case with this name as templates/viewer.js takes it, without `figures`, or None if it has
            no picture.
    """
    keys = [key for key in METRICS if any(key in row for one in rows for row in one)]
    _write_cases(result, rows, keys, output / "comparison.csv")
    with atomic_path(output / "comparison.json") as path:
        path.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    write_page(output / "index.html", "comparison.html", **_context(result, rows, draw_case))


def format_comparison(result: dict[str, Any]) -> str:
    """Write the content of `comparison.json` for the terminal: a sentence and a table for each pair."""
    blocks = []
    for pair in result["pairs"]:
        table = [
            [METRICS[key], *_figures(key, figures)]
            for key, figures in pair["metrics"].items()
            if METRICS[key].partition(", ")[2].startswith("both lungs")
        ]
        blocks.append(f"{escape_control(pair['sentence'])}\n{format_columns([_header(pair), *table])}")
    return "\n".join(blocks)


def _header(pair: Mapping[str, Any]) -> list[str]:
    return ["", pair["first"], pair["second"], "difference", "95 % interval", "better", "worse", "same", "Wilcoxon p"]


def _figures(key: str, figures: Mapping[str, Any]) -> list[str]:
    low, high = (format_difference(key, figures[end]) for end in ("ci_low", "ci_high"))
    p = figures["wilcoxon_p"]
    return [
        format_value(key, figures["first"]),
        format_value(key, figures["second"]),
        format_difference(key, figures["mean"]),
        f"{low} to {high}" if low else "",
        *(str(figures[count]) for count in ("better", "worse", "same")),
        "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}",
    ]


def _pairs(result: dict[str, Any]) -> list[tuple[int, int]]:
    """Return the places of the compared methods of each pair."""
    places = {one["name"]: place for place, one in enumerate(result["compared"])}
    return [(places[pair["first"]], places[pair["second"]]) for pair in result["pairs"]]


def _values(rows: Rows, key: str) -> NDArray[np.float64]:
    return np.array([row.get(key, math.nan) for row in rows], dtype=np.float64)


def _write_cases(result: dict[str, Any], rows: Sequence[Rows], keys: Sequence[str], path: Path) -> None:
    names = [one["name"] for one in result["compared"]]
    header: list[str] = list(_COLUMNS)
    columns: list[NDArray[np.float64]] = []
    for key in keys:
        values = [_values(one, key) for one in rows]
        header += [f"{key}: {name}" for name in names]
        columns += values
        for first, second in _pairs(result):
            header.append(f"{key}: {names[second]} - {names[first]}")
            columns.append(differences_of(values[first], values[second]))
    lines = (
        [*(row[column] for column in _COLUMNS), *("" if math.isnan(value) else f"{value:.6g}" for value in line)]
        for row, line in zip(rows[0], np.array(columns).T.tolist(), strict=True)
    )
    write_csv(path, header, lines)


def _context(result: dict[str, Any], rows: Sequence[Rows], draw_case: DrawCase) -> dict[str, Any]:
    """Return the variables of `templates/comparison.html`."""
    names = [one["name"] for one in result["compared"]]
    shown = _shown_keys(rows)
    values = {key: [_values(one, key) for one in rows] for key in shown}
    pairs = _pairs(result)
    differences = {
        key: [differences_of(found[first], found[second]) for first, second in pairs] for key, found in values.items()
    }
    order = _most_different_first(differences[RANKED_BY])

    def differs(place: int) -> str:
        known = [value for one in differences[RANKED_BY] if not math.isnan(value := float(one[place]))]
        if len(pairs) > 1:
            return f"Dice differs by up to {max(map(abs, known)):.4f}" if known else ""
        pair = result["pairs"][0]
        return f"{pair['second']} \N{MINUS SIGN} {pair['first']} {signed(known[0])}" if known else ""

    items = []
    for place in order[:_PICTURED]:
        if (item := draw_case(rows[0][place]["name"])) is None:
            continue
        figures: list[list[str]] = []
        for key in shown:
            title = METRICS[key].replace(", both lungs", "")
            figures += [
                [f"{title}, {name}", format_value(key, found[place])]
                for name, found in zip(names, values[key], strict=True)
            ]
        items.append({**item, "figures": figures, "dice": _dice(values, place), "differs": differs(place)})
    header, table = _case_table(result, rows, values, differences, order)
    return {
        "title": f"Comparison of {', '.join(names[:-1])} and {names[-1]}",
        "facts": [f"lungseg {result['lungseg']}", f"{result['cases']} images", f"{result['extent']} lungs"],
        "warnings": result["warnings"],
        "sentences": [pair["sentence"] for pair in result["pairs"]],
        "first": _first_row(names, values),
        "plots": _plots(result, rows[0], differences),
        "size": (WIDTH, HEIGHT),
        "shown_names": [escape_control(name) for name in names],
        "items": items,
        "side_by_side": min(len(items), _SIDE_BY_SIDE),
        "pairs": [
            (pair, _header(pair), [[METRICS[key], *_figures(key, one)] for key, one in pair["metrics"].items()])
            for pair in result["pairs"]
        ],
        "bootstrap": result["bootstrap"],
        "case_header": header,
        "cases": table,
        "definitions": DEFINITIONS,
    }


def _shown_keys(rows: Sequence[Rows]) -> list[str]:
    """Return the metrics of the page's first row and plots: the distance in millimetres only if all cases have it."""
    whole = all(not math.isnan(row.get("hd95_mm", math.nan)) for one in rows for row in one)
    return [RANKED_BY, "iou", "hd95_mm" if whole else "hd95_px"]


def _most_different_first(differences: Sequence[NDArray[np.float64]]) -> list[int]:
    """Return the places of the cases, the largest difference of any pair first."""
    largest = np.max(np.abs(np.nan_to_num(np.array(differences))), axis=0)
    return [int(place) for place in np.argsort(-largest, kind="stable")]


def _dice(values: Mapping[str, list[NDArray[np.float64]]], place: int) -> list[str]:
    return [format_value(RANKED_BY, float(one[place])) for one in values[RANKED_BY]]


def _first_row(names: Sequence[str], values: Mapping[str, list[NDArray[np.float64]]]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "figures": [
                (METRICS[key].replace(", both lungs", ""), format_value(key, _mean(found[number])))
                for key, found in values.items()
            ],
        }
        for number, name in enumerate(names)
    ]


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _plots(
    result: dict[str, Any], rows: Rows, differences: Mapping[str, list[NDArray[np.float64]]]
) -> list[dict[str, Any]]:
    plots = []
    for number, pair in enumerate(result["pairs"]):
        for key in (RANKED_BY, *(key for key in differences if is_distance(key))):
            if key not in pair["metrics"]:
                continue
            known = ~np.isnan(differences[key][number])
            cases = [row["name"] for row, has in zip(rows, known, strict=True) if has]
            plot = plot_differences(key, differences[key][number][known], cases, pair["metrics"][key])
            sides = (pair["second"], pair["first"]) if plot["left_is_better"] else (pair["first"], pair["second"])
            title = f"{METRICS[key].replace(', both lungs', '')}: {pair['second']} \N{MINUS SIGN} {pair['first']}"
            plots.append({**plot, "title": title, "sides": sides})
    return plots


def _case_table(
    result: dict[str, Any],
    rows: Sequence[Rows],
    values: Mapping[str, list[NDArray[np.float64]]],
    differences: Mapping[str, list[NDArray[np.float64]]],
    order: Sequence[int],
) -> tuple[list[str], list[list[str]]]:
    names = [one["name"] for one in result["compared"]]
    keys = [RANKED_BY, *(key for key in values if is_distance(key))]
    header = ["case", "set"]
    for key in keys:
        title = METRICS[key].replace(", both lungs", "")
        header += [f"{title}, {name}" for name in names]
        pairs = [f"{pair['second']} \N{MINUS SIGN} {pair['first']}" for pair in result["pairs"]]
        header += [f"{title}, {pair if len(pairs) > 1 else 'difference'}" for pair in pairs]
    table = []
    for place in order:
        line = [rows[0][place]["name"], rows[0][place]["set"]]
        for key in keys:
            line += [format_value(key, float(one[place])) for one in values[key]]
            each = (float(one[place]) for one in differences[key])
            line += ["" if math.isnan(value) else format_difference(key, value) for value in each]
        table.append(line)
    return header, table
