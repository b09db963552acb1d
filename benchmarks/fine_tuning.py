# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.fine_tuning`: the gain of `lungseg train --init` with a few images of another hospital.

Weights that never saw Shenzhen are trained further on 5, 10, 20 or 50 images of its training list, with the defaults of
the command. One in five of the images chooses the epoch, the others are learned from: nothing else of the hospital is
used. The figures are those of its test list. Images are drawn several times, and each draw has those of the smaller
draws. A run that is finished is kept; one that was stopped goes on.
"""

from __future__ import annotations

import csv
import json
import random
import sys
from pathlib import Path

import numpy as np

from benchmarks import record
from benchmarks.accuracy import LOG, append_to_log
from benchmarks.tables import NOT_MEASURED, markdown_table
from recipes.command import add_date, add_trial, data_folder, parser, run

FIRST = "open"  # the shipped weights that never saw the hospital
HOSPITAL = "shenzhen"
SIZES = (5, 10, 20, 50)
DRAWS, EPOCHS = 3, 60
ONE_IN = 5  # of the images, to choose the epoch


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the table."""
    options = _parser().parse_args(arguments)
    if options.tables_only:
        record.publish(tables(record.load("fine_tuning", None)))
        return
    if options.trial:
        options.sizes, options.draws, options.epochs = [min(options.sizes)], 1, 1
    numbers = measure(options)
    if options.trial:
        record.show(tables(numbers))
        return
    record.save("fine_tuning", numbers)
    record.publish(tables(numbers))


def _parser():
    options = parser("benchmarks.fine_tuning", "Train shipped weights on a few images of another hospital.")
    add_trial(options)
    options.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), help="numbers of images")
    options.add_argument("--draws", type=int, default=DRAWS, help=f"times that images are drawn (default: {DRAWS})")
    options.add_argument("--epochs", type=int, default=EPOCHS, help=f"at most (default: {EPOCHS}, as the command's)")
    options.add_argument("--output", default="runs/fine_tuning", help="folder of the runs (default: runs/fine_tuning)")
    add_date(options)
    return options


def measure(options) -> dict:
    """Train and evaluate all runs.

    Returns:
        {"weights_sha256" (of the first weights), "epochs", "n" (test images), "sizes": as `figures` has them}.
    """
    import lungseg
    from lungseg.model.paths import weights_file
    from lungseg.model.weights import weights_hash

    data, first = data_folder(options), weights_hash(weights_file(FIRST))
    # Runs of other weights or lengths are not taken for these.
    folder = Path(options.output, f"{first[:12]}-{options.epochs}-epochs")
    before = _evaluate(data, folder / "0-images", FIRST, "open", options)
    dice: dict[int, list[dict[str, float]]] = {0: [before]}
    epochs: dict[int, list[int]] = {}
    for draw in range(options.draws):
        for size in options.sizes:
            run_folder = folder / f"{size}-images-draw-{draw}"
            print(f"{size} images, draw {draw}: {run_folder}", flush=True)
            if not (run_folder / "run.json").is_file():
                if (run_folder / "config.json").is_file():
                    lungseg.train(output=run_folder, resume=True)
                else:
                    lists = _write_lists(data, folder / f"{size}-images-draw-{draw}.json", size, draw)
                    where = {"splits": lists, "datasets": [HOSPITAL]}
                    lungseg.train(data, run_folder, init=FIRST, epochs=options.epochs, seed=draw, **where)
            best = json.loads((run_folder / "run.json").read_text("utf-8"))["best"]
            epochs.setdefault(size, []).append(best["epoch"])
            trained_on = f"open, then {size} images of {HOSPITAL}, draw {draw}"
            dice.setdefault(size, []).append(_evaluate(data, run_folder / "test", run_folder, trained_on, options))
    sizes = {str(size): figures(before, found) | {"epochs": epochs.get(size, [])} for size, found in dice.items()}
    return {"weights_sha256": first, "epochs": options.epochs, "n": len(before), "sizes": sizes}


def _write_lists(data: str, file: Path, size: int, draw: int) -> Path:
    """Write the lists of a run: the larger draws begin with the smaller ones."""
    from lungseg.data import datalist, write_split

    names = {
        section: [case["name"] for case in datalist(data, section, sets=[HOSPITAL])]
        for section in ("train", "test", "all")
    }
    pool = sorted(names["train"])
    random.Random(draw).shuffle(pool)
    drawn, validation = pool[:size], pool[:size:ONE_IN]
    lists = {"train": [name for name in drawn if name not in validation], "validation": validation}
    lists |= {"test": names["test"], "excluded": sorted({*names["all"]} - {*drawn, *names["test"]})}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_split(file, lists, draw)
    return file


def _evaluate(data: str, output: Path, weights, trained_on: str, options) -> dict[str, float]:
    """Return the Dice of both lungs of each image of the test list; log it where it was not measured before."""
    import lungseg

    if not (output / "summary.json").is_file():
        summary = lungseg.evaluate(data, output, weights=weights, split="test", datasets=[HOSPITAL])
        if not options.trial:
            facts = {"date": options.date.isoformat(), "trained_on": trained_on, "section": "test", "set": HOSPITAL}
            found = summary["overall"]
            facts |= {"weights_sha256": summary["weights"]["sha256"], "n": found["n"], "metrics": found["metrics"]}
            append_to_log(record.ROOT / LOG, facts)
    with open(output / "cases.csv", newline="", encoding="utf-8") as file:
        return {row["name"]: float(row["dice"]) for row in csv.DictReader(file) if row["dice"]}


def figures(before: dict[str, float], draws: list[dict[str, float]]) -> dict:
    """Return the figures of a number of images, over the cases that all have; a case counts once, by its mean.

    Args:
        before: name -> Dice of the first weights.
        draws: the same of the weights of each draw.

    Returns:
        {"dice", "low", "high" (mean and bootstrap interval over the cases), "draws" (mean of each), "gain", "gain_low",
        "gain_high" (paired), "better" (share of the cases)}.
    """
    from lungseg.metrics.summary import bootstrap_interval

    names = sorted(set(before).intersection(*draws))
    values = np.array([[draw[name] for name in names] for draw in draws])
    after = values.mean(axis=0)
    gain = after - np.array([before[name] for name in names])
    (low, high), (gain_low, gain_high) = bootstrap_interval(after), bootstrap_interval(gain)
    return {
        "dice": float(after.mean()),
        "low": low,
        "high": high,
        "draws": [float(mean) for mean in values.mean(axis=1)],
        "gain": float(gain.mean()),
        "gain_low": gain_low,
        "gain_high": gain_high,
        "better": float((gain > 0).mean()),
    }


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown."""
    if not numbers:
        return {"fine-tuning": NOT_MEASURED}
    rows = []
    for size, found in numbers["sizes"].items():
        dice = [f"{found['dice']:.4f}", f"{found['low']:.4f} to {found['high']:.4f}"]
        if size == "0":
            rows.append([size, *dice, "", "", "", "", ""])
            continue
        draws = f"{min(found['draws']):.4f} to {max(found['draws']):.4f}"
        gain = [f"{found['gain']:+.4f}", f"{found['gain_low']:+.4f} to {found['gain_high']:+.4f}"]
        rows.append([size, *dice, draws, *gain, f"{found['better']:.0%}", ", ".join(map(str, found["epochs"]))])
    header = ["Images", "Dice", "95 % interval", "Draws", "Gain", "95 % interval", "Better", "Best epochs"]
    draws = max(len(found["draws"]) for found in numbers["sizes"].values())
    first = numbers["weights_sha256"][:12]
    note = (
        f"Both lungs, {numbers['n']} images of Shenzhen's test list. First weights `{first}`, without Shenzhen; "
        f"up to {numbers['epochs']} epochs, {draws} draws, one in {ONE_IN} images to choose the epoch. Draws: lowest "
        "and highest mean of a draw. Gain: over 0 images, on the same cases; the intervals are bootstraps over them. "
        "Better: share of the cases with a gain."
    )
    return {"fine-tuning": f"{markdown_table(header, rows)}\n\n{note}"}


if __name__ == "__main__":
    sys.exit(run(main))
