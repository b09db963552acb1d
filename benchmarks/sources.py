# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.sources`: evaluate weights on the lists of every source that they may have learned from.

Weights have a name: "model" and "open" are shipped; "without X" saw other sources than X, and are measured on X alone.
The sources are those of `recipes/model.json`. Each evaluation of a test list adds lines to test_log.md.
"""

from __future__ import annotations

import csv
import datetime
import json
import sys
from argparse import ArgumentTypeError
from pathlib import Path

from benchmarks import record
from benchmarks.accuracy import LOG, append_to_log
from benchmarks.tables import NOT_MEASURED, markdown_table
from lungseg.report.text import format_value
from recipes.command import add_date, parser, run

SHIPPED = {"model": "shipped", "open": "open"}
RECIPE = Path(__file__).parents[1] / "recipes" / "model.json"
_WITHOUT = "without "
_KEPT = ("dice", "dice_right", "dice_left", "dice_heart")


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the tables."""
    options = _parser().parse_args(arguments)
    entries = record.load("sources", [])
    if not options.tables_only:
        for name, weights in options.weights or SHIPPED.items():
            found = measure(options.data, options.split, name, weights, options.output, options.date)
            replaced = {(entry["weights"], entry["section"], entry["set"]) for entry in found}
            entries = [one for one in entries if (one["weights"], one["section"], one["set"]) not in replaced] + found
            record.save("sources", entries)
    record.publish(tables(entries))


def _parser():
    options = parser("benchmarks.sources", "Evaluate weights on the lists of every source and rewrite the tables.")
    options.add_argument(
        "--weights",
        action="append",
        type=_named,
        metavar="NAME=WEIGHTS",
        help="weights by their name, such as 'without hearts=runs/hearts' (default: model=shipped and open=open)",
    )
    options.add_argument("--split", default="test", choices=["validation", "test"])
    options.add_argument("--output", default="runs/sources", help="folder for the pages (default: runs/sources)")
    add_date(options)
    return options


def _named(text: str) -> tuple[str, str]:
    name, _, weights = text.partition("=")
    if not weights:
        raise ArgumentTypeError("write it as NAME=WEIGHTS")
    return name, weights


def measure(data: str, section: str, name: str, weights: str, output: str, date: datetime.date) -> list[dict]:
    """Evaluate weights on one section of all sources; log it if that is the test list.

    Returns:
        For each source {"weights" (name), "section", "set", "extent", "date", "weights_sha256", "n", "metrics" (as
        `lungseg.metrics.summary.summarise` has them)}.
    """
    from lungseg.evaluation.evaluate import evaluate

    folder = Path(output) / f"{name.replace(' ', '-')}-{section}"
    sources = json.loads(RECIPE.read_text("utf-8"))["data_source#sources"]
    if name.startswith(_WITHOUT):
        sources = [source for source in sources if source["name"] == name.removeprefix(_WITHOUT)]
    print(f"{name}, {section} lists: {folder / 'index.html'}", flush=True)
    summary = evaluate(folder, section, weights, {"dataset_dir": data, "data_source#sources": sources})
    with open(folder / "cases.csv", newline="", encoding="utf-8") as file:
        extents = {row["set"]: row["extent"] for row in csv.DictReader(file)}
    entries = [
        {
            "weights": name,
            "section": section,
            "set": source,
            "extent": extents[source],
            "date": date.isoformat(),
            "weights_sha256": summary["weights"]["sha256"],
            "n": figures["n"],
            "metrics": {key: value for key, value in figures["metrics"].items() if key in _KEPT},
        }
        for source, figures in summary["sets"].items()
    ]
    if section == "test":
        for entry in entries:
            append_to_log(record.ROOT / LOG, entry | {"trained_on": name})
    return entries


def tables(entries: list[dict] | None) -> dict[str, str]:
    """Return name -> Markdown: the shipped weights on each source's test list, and weights that saw all others."""
    tested = [entry for entry in entries or () if entry["section"] == "test"]
    shipped = [entry for entry in tested if entry["weights"] in SHIPPED]
    left_out = [entry for entry in tested if entry["weights"] == _WITHOUT + entry["set"]]
    return {"sources": _table(shipped, "Weights"), "left-out": _table(left_out, "Trained")}


def _table(entries: list[dict], first: str) -> str:
    if not entries:
        return NOT_MEASURED
    header = [first, "Test list", "Lungs", "n", "Dice", "95 % interval", "Worst", "Worst image", "Dice, heart"]
    rows = []
    for entry in sorted(entries, key=lambda one: (one["weights"], one["set"])):
        dice, heart = entry["metrics"]["dice"], entry["metrics"].get("dice_heart", {})
        low, high = (format_value("dice", dice[end]) for end in ("ci_low", "ci_high"))
        mean, worst = (format_value("dice", dice[key]) for key in ("mean", "worst"))
        facts = (entry["weights"], entry["set"], entry["extent"], str(entry["n"]))
        found = (mean, f"{low} to {high}", worst, f"`{dice['worst_case']}`")
        rows.append([*facts, *found, format_value("dice_heart", heart.get("mean"))])
    return markdown_table(header, rows, text_columns=(0, 1, 2, 7))


if __name__ == "__main__":
    sys.exit(run(main))
