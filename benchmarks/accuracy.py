# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.accuracy`: evaluate weights on the sets, keep the figures, rewrite the tables.

Weights are named by the hospitals that they were trained on: "both" sets, "montgomery" or "shenzhen" alone. Each
evaluation of a test list adds a line to test_log.md.
"""

from __future__ import annotations

import csv
import datetime
import json
import re
import sys
from argparse import ArgumentTypeError
from pathlib import Path

from benchmarks import record
from benchmarks.accuracy_tables import LOW_DICE, TRAINED_ON, tables
from lungseg.data.splits import SETS
from lungseg.utils.files import atomic_path
from recipes.command import add_date, data_folder, parser, run

SHIPPED = {"both": "shipped"}
LOG = "benchmarks/test_log.md"
LOG_HEAD = """# When the test lists were evaluated

Every choice is made on the validation lists, some after a test list had prompted them;
`docs/experiments.md` names those. A line is added each time weights meet a test list; Dice is that of both lungs
together, at the image's own size.

"""
METADATA = "bundle/configs/metadata.json"


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the tables, and the bundle's metadata."""
    options = _parser().parse_args(arguments)
    entries = record.load("accuracy", [])
    if not options.tables_only:
        data = data_folder(options)
        for trained_on, weights in dict(options.trained_on or SHIPPED).items():
            for name in options.datasets:
                entry = measure(data, options.split, trained_on, weights, name, options.output, options.date)
                entries = with_entry(entries, entry)
                record.save("accuracy", entries)
    record.publish(tables(entries, json.loads(Path(__file__).with_name("explanations.json").read_text("utf-8"))))
    write_eval_metrics(entries)


def _parser():
    options = parser("benchmarks.accuracy", "Evaluate weights on the sets and rewrite the tables of the documents.")
    options.add_argument(
        "--trained-on",
        action="append",
        type=_named_weights,
        metavar="SETS=WEIGHTS",
        help="weights by the sets that they were trained on, such as shenzhen=runs/shenzhen; may be repeated "
        "(default: both=shipped)",
    )
    options.add_argument("--datasets", nargs="+", default=["montgomery", "shenzhen"], choices=SETS)
    options.add_argument("--split", default="test", choices=["validation", "test"])
    options.add_argument("--output", default="runs/accuracy", help="folder for the pages (default: runs/accuracy)")
    add_date(options)
    return options


def _named_weights(text: str) -> tuple[str, str]:
    name, _, weights = text.partition("=")
    if name not in TRAINED_ON or not weights:
        raise ArgumentTypeError(f"write it as SETS=WEIGHTS, with SETS one of {', '.join(TRAINED_ON)}")
    return name, weights


def measure(
    data: str, section: str, trained_on: str, weights: str, name: str, output: str, date: datetime.date
) -> dict:
    """Evaluate weights on one section of one set; log it if that is the test list.

    Returns:
        {"section", "trained_on", "set", "date", "weights_sha256", "n", "metrics" (as
        `lungseg.metrics.summary.summarise` has them), "low": the images under `LOW_DICE` as {"name", "dice"}, worst
        first}.
    """
    from lungseg.evaluation.evaluate import evaluate

    folder = Path(output) / f"{trained_on}-{section}-{name}"
    print(f"weights trained on {trained_on}, {section} list of {name}: {folder / 'index.html'}", flush=True)
    summary = evaluate(folder, section, weights, {"dataset_dir": data, "data_source#sets": [name]})
    figures = summary["overall"]
    entry = {
        "section": section,
        "trained_on": trained_on,
        "set": name,
        "date": date.isoformat(),
        "weights_sha256": summary["weights"]["sha256"],
        "n": figures["n"],
        "metrics": figures["metrics"],
        "low": _low(folder / "cases.csv"),
    }
    if section == "test":
        append_to_log(record.ROOT / LOG, entry)
    return entry


def _low(cases: Path) -> list[dict]:
    with open(cases, newline="", encoding="utf-8") as file:
        dice = {row["name"]: float(row["dice"]) for row in csv.DictReader(file) if row["dice"]}
    return [{"name": name, "dice": dice[name]} for name in sorted(dice, key=dice.get) if dice[name] < LOW_DICE]


def append_to_log(log: Path, entry: dict) -> None:
    """Add a line on an evaluation to the log, which begins with its purpose."""
    log.parent.mkdir(parents=True, exist_ok=True)
    mean = entry["metrics"]["dice"]["mean"]
    line = (
        f"- {entry['date']}: weights {entry['weights_sha256'][:12]} (trained on {entry['trained_on']}), "
        f"{entry['section']} list of {entry['set']}, {entry['n']} images: mean Dice {mean:.4f}\n"
    )
    new = not log.exists()
    with open(log, "a", encoding="utf-8") as file:
        file.write(LOG_HEAD + line if new else line)


def with_entry(entries: list[dict], entry: dict) -> list[dict]:
    """Return the entries with `entry` in place of an earlier one of the same section and set, trained on the same."""

    def key(one: dict) -> tuple[str, str, str]:
        return one["section"], one["trained_on"], one["set"]

    return sorted([one for one in entries if key(one) != key(entry)] + [entry], key=key)


def write_eval_metrics(entries: list[dict]) -> None:
    """Put the shipped weights' figures on the test lists into the bundle's metadata, and touch nothing else there."""
    figures = {
        f"mean_{key}_{entry['set']}": round(entry["metrics"][key]["mean"], 4)
        for entry in entries
        if (entry["section"], entry["trained_on"]) == ("test", "both")
        for key in ("dice", "iou")
    }
    file = record.ROOT / METADATA
    text = file.read_text("utf-8")
    written = json.dumps(figures, indent=4).replace("\n", "\n    ")
    renewed = re.sub(r'(?<="eval_metrics": )\{[^{}]*\}', lambda _: written, text)
    if figures and renewed != text:
        with atomic_path(file) as path:
            path.write_text(renewed, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run(main))
