# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.annotation`: a simulation of annotation: does a strategy need fewer labels?

Weights of Montgomery alone meet a hospital that they do not know: a pool from the training list of Shenzhen.
In each of five rounds a strategy of the MONAI Label app chooses ten radiographs, their labels are added, and the first
weights are trained on all labels so far, for a constant number of batches. Every version is measured on Shenzhen's
validation list. The seed draws the pool, and seeds the random choice and the training.
"""

from __future__ import annotations

import math
import random
import sys
import tempfile
from pathlib import Path

from benchmarks import record
from benchmarks.tables import NOT_MEASURED, markdown_table
from recipes.command import add_trial, data_folder, parser, run

HOME, AWAY = "montgomery", "shenzhen"
FIRST = "open"  # the shipped weights that never saw the other hospital
STRATEGIES = ("lowest-quality", "random")
ROUNDS, STEP, POOL, LEARNING_RATE = 5, 10, 120, 3e-4
BATCH, BATCHES = 8, 60
SEEDS = (0, 1, 2)
PLOT = record.ROOT / "docs" / "images" / "annotation.png"


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the table and the plot."""
    options = parser("benchmarks.annotation", "Simulate annotation with each strategy.")
    add_trial(options)
    options.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    options = options.parse_args(arguments)
    kept = {} if options.trial else record.load("annotation", {})
    numbers = kept.setdefault("curves", {})
    if not options.tables_only:
        data = data_folder(options)
        drop_outdated(kept)
        for seed in options.seeds[:1] if options.trial else options.seeds:
            for strategy in STRATEGIES:
                if str(seed) in numbers.get(strategy, {}):
                    continue
                curve = simulate(data, strategy, seed, *((1, 1) if options.trial else (ROUNDS, BATCHES)))
                numbers.setdefault(strategy, {})[str(seed)] = curve
                if not options.trial:
                    record.save("annotation", kept)
    if options.trial:
        record.show(tables(kept))
    else:
        record.publish(tables(kept))
        if numbers:
            plot(numbers)


def drop_outdated(kept: dict) -> None:
    """Drop the curves of other first weights."""
    from lungseg.model.paths import weights_file
    from lungseg.model.weights import weights_hash

    first = weights_hash(weights_file(FIRST))[:12]
    if kept.get("weights") != first:
        kept["curves"].clear()
    kept["weights"] = first


def simulate(data: str, strategy: str, seed: int, rounds: int, batches: int) -> list[float]:
    """Return the mean Dice of the lungs' union on the validation list after 0, 1, … rounds."""
    from lungseg.data import datalist

    cases = {case["name"]: case for case in datalist(data, "train", sets=[AWAY])}
    pool = sorted(random.Random(seed).sample(sorted(cases), min(POOL, len(cases))))
    labelled: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        weights = FIRST
        curve = [measure(data, weights, Path(folder, "before"))]
        for number in range(1, rounds + 1):
            labelled += choose(strategy, pool, labelled, cases, weights, random.Random(f"{seed} {number}"))
            weights = Path(folder, f"round-{number}")
            learn(data, [cases[name] for name in labelled], weights, seed, batches)
            curve.append(measure(data, weights, Path(folder, f"measured-{number}")))
    return curve


def choose(strategy: str, pool: list[str], labelled: list[str], cases: dict, weights, rng: random.Random) -> list[str]:
    """Return the next names to annotate."""
    free = [name for name in pool if name not in labelled]
    if strategy == "random":
        return rng.sample(free, STEP)
    from lungseg.inference.predictor import Predictor

    predictor = Predictor(weights)
    return sorted(free, key=lambda name: (predictor.predict(cases[name]["image"]).quality, name))[:STEP]


def learn(data: str, cases: list[dict], output: Path, seed: int, batches: int) -> None:
    """Train the first weights on some cases, to the end."""
    from lungseg.training.train import train

    epochs = math.ceil(batches / (len(cases) // BATCH))  # an epoch drops an incomplete batch
    settings = {
        "dataset_dir": data,
        "data_source#sets": [HOME],  # checked, but not trained on
        "train#dataset#data": cases,
        "validate#dataset#data": cases[:2],
        "epochs": epochs,
        "val_interval": epochs,
        "batch_size": BATCH,
        "learning_rate": LEARNING_RATE,
        "seed": seed,
        "num_workers": 0,
        "progress": False,
    }
    train(output, settings, init=FIRST)


def measure(data: str, weights, output: Path) -> float:
    """Return the mean Dice on the validation list of the other hospital."""
    from lungseg.evaluation.evaluate import evaluate

    where = {"dataset_dir": data, "data_source#sets": [AWAY]}
    summary = evaluate(output, "validation", weights, where)
    return summary["overall"]["metrics"]["dice"]["mean"]


def tables(kept: dict | None) -> dict[str, str]:
    """Return name -> Markdown: the mean over the seeds, and the lowest and highest."""
    numbers: dict[str, dict[str, list[float]]] = (kept or {}).get("curves", {})
    if not numbers:
        return {"annotation": NOT_MEASURED}
    rounds = max(len(curve) for curves in numbers.values() for curve in curves.values())
    header = ["Strategy", "Seeds", *(f"{STEP * number} labels" for number in range(rounds))]
    rows = []
    for strategy, curves in numbers.items():
        columns = list(zip(*curves.values(), strict=True))
        cells = [f"{sum(dice) / len(dice):.4f} ({min(dice):.4f} to {max(dice):.4f})" for dice in columns]
        rows.append([strategy, str(len(curves)), *cells])
    note = f"Mean Dice (lowest to highest seed). First weights `{kept['weights']}`."
    return {"annotation": f"{markdown_table(header, rows)}\n\n{note}"}


def plot(numbers: dict[str, dict[str, list[float]]]) -> None:
    """Plot the mean over the seeds against the number of labels, and each seed as a thin line."""
    from matplotlib.figure import Figure

    from lungseg.utils.files import atomic_path

    figure = Figure(figsize=(6.4, 4), dpi=130, layout="constrained")
    axes = figure.subplots()
    for colour, (strategy, curves) in zip(("C0", "C1"), numbers.items(), strict=True):
        labels = [STEP * number for number in range(len(next(iter(curves.values()))))]
        for curve in curves.values():
            axes.plot(labels, curve, color=colour, alpha=0.25, linewidth=1)
        mean = [sum(dice) / len(dice) for dice in zip(*curves.values(), strict=True)]
        axes.plot(labels, mean, color=colour, marker="o", label=strategy)
    axes.set(xlabel="labels", ylabel="mean Dice, Shenzhen's validation list")
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_path(PLOT) as path:
        figure.savefig(path)


if __name__ == "__main__":
    sys.exit(run(main))
