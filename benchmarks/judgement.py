# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.judgement`: the quality, its lower bound, doubts and notes on the lists of every source.

Everything was fitted and chosen on the training and validation lists. `--left-out` also measures networks that were
trained without a source, on that source: their results are those of a further hospital.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import record
from benchmarks.tables import NOT_MEASURED, markdown_table
from recipes.command import add_trial, parser, run
from recipes.quality_report import share

if TYPE_CHECKING:
    from recipes.segmented import Segmenter

GOOD, POOR = 0.90, 0.80
_RECIPE = Path(__file__).parents[1] / "recipes" / "model.json"


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the tables."""
    options = parser("benchmarks.judgement", "Measure quality, doubts and notes on the lists of every source.")
    add_trial(options)
    options.add_argument("--weights", default="shipped", help="shipped (default), a file, or a run's folder")
    options.add_argument("--left-out", action="append", default=[], metavar="SOURCE=WEIGHTS", help="may be repeated")
    options.add_argument("--split", default="test", choices=["validation", "test"])
    options = options.parse_args(arguments)
    if options.tables_only:
        record.publish(tables(record.load("judgement", None)))
        return
    numbers = measure(options.data, options.split, options.weights, options.left_out, options.trial)
    if options.trial or options.split != "test":
        record.show(tables(numbers))
        return
    record.save("judgement", numbers)
    record.publish(tables(numbers))


def measure(data: str, section: str, weights: str, left_out: Sequence[str] = (), trial: bool = False) -> dict:
    """Segment the lists of every source, and images that are not frontal chest radiographs.

    Returns:
        {"section", "weights_sha256", "sources": [{"source", "left_out", "n", "dice", "quality", "error", "spearman",
        and "held", "good_doubted", "poor_doubted" (how many, of how many)}], "doubts": {name: how many results carry
        it, are under GOOD, are under POOR}, "notes": {name: the same}, "wrong": {kind: (flagged, images)}}.
    """
    from lungseg.data import datalist
    from lungseg.model.weights import weights_hash
    from lungseg.quality.flags import NOT_FRONTAL
    from recipes.other_images import other_images
    from recipes.segmented import Segmenter

    sources = json.loads(_RECIPE.read_text("utf-8"))["data_source#sources"]
    listed = datalist(data, section, sources=sources)[:: 40 if trial else 1]
    segment = Segmenter(weights)
    found = _segmented(segment, listed, left_out=False)
    for given in left_out:
        source, _, other = given.partition("=")
        found += _segmented(Segmenter(other), [case for case in listed if case["set"] == source], left_out=True)
    wrong = list(_other_views(Path(data), section))
    wrong += [("images held out of all fitting", pixels) for _, _, pixels in other_images(True)]
    shown = wrong[::20] if trial else wrong
    flagged = [(kind, bool(NOT_FRONTAL.intersection(segment(pixels).doubts))) for kind, pixels in shown]
    groups = sorted({(one["source"], one["left_out"]) for one in found})
    return {
        "section": section,
        "weights_sha256": weights_hash(segment.predictor.weights),
        "sources": [
            {"source": source, "left_out": left}
            | _summary([one for one in found if (one["source"], one["left_out"]) == (source, left)])
            for source, left in groups
        ],
        **{kind: _flags(found, kind) for kind in ("doubts", "notes")},
        "wrong": {
            kind: [sum(refused for one, refused in flagged if one == kind), number]
            for kind, number in Counter(kind for kind, _ in flagged).items()
        },
    }


def _segmented(segment: Segmenter, listed: Sequence[dict], left_out: bool) -> list[dict]:
    from tqdm import tqdm

    from recipes.segmented import cases, dice

    found = []
    for case, _, pixels, labels, _ in tqdm(cases(listed, [], 0), total=len(listed), disable=None):
        prediction = segment(pixels)
        extent = case["extent"] if prediction.knows_heart else "visible"
        true = dice(prediction.label_map(extent), labels)
        found.append({"source": case["set"], "left_out": left_out, "dice": true, **prediction.judgement})
    return found


def _other_views(data: Path, section: str):
    """Yield (kind, pixels) of the laterals and CT slices of the wards' list."""
    from lungseg.io import read_radiograph

    folder = data / "wards"
    with (folder / "other.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["split"] == section:
                yield f"{row['kind']}, wards", read_radiograph(next((folder / "other").glob(f"{row['name']}.*"))).pixels


def _summary(found: list[dict]) -> dict:
    from scipy.stats import spearmanr

    true, quality, lower = (np.array([one[key] for one in found]) for key in ("dice", "quality", "quality_lower"))
    doubted = np.array([bool(one["doubts"]) for one in found])
    good, poor = true >= GOOD, true < POOR
    return {
        "n": len(found),
        "dice": float(true.mean()),
        "quality": float(quality.mean()),
        "error": float(np.abs(true - quality).mean()),
        "spearman": float(spearmanr(true, quality).statistic),
        "held": [int((true >= lower).sum()), len(found)],
        "good_doubted": [int((doubted & good).sum()), int(good.sum())],
        "poor_doubted": [int((doubted & poor).sum()), int(poor.sum())],
    }


def _flags(found: list[dict], kind: str) -> dict[str, list[int]]:
    names = Counter(name for one in found for name in one[kind])
    return {
        name: [number, *(sum(name in one[kind] and one["dice"] < limit for one in found) for limit in (GOOD, POOR))]
        for name, number in names.most_common()
    }


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown of the tables about sources, about doubts and notes, and about wrong images."""
    if numbers is None:
        return dict.fromkeys(("judgement", "flags", "wrong-views"), NOT_MEASURED)
    header = ["Source", "n", "Dice", "Quality", "Error", "Spearman", "Bound holds for", "Good ones doubted"]
    header += ["Poor ones doubted"]
    rows = [
        [
            row["source"] + (", left out" if row["left_out"] else ""),
            str(row["n"]),
            *(f"{row[key]:.3f}" for key in ("dice", "quality", "error")),
            f"{row['spearman']:.2f}",
            *(share(*row[key]) for key in ("held", "good_doubted", "poor_doubted")),
        ]
        for row in numbers["sources"]
    ]
    note = (
        f"Weights `{numbers['weights_sha256'][:12]}`, {numbers['section']} lists. Quality: the estimated Dice. Error: "
        f"mean absolute. Good: a Dice of {GOOD:.2f} or more; poor: under {POOR:.2f}. Shares have 95 % intervals. Left "
        "out: a network that was trained without the source."
    )
    flags = [
        [name, kind.removesuffix("s"), str(n), share(under_good, n), share(under_poor, n)]
        for kind in ("doubts", "notes")
        for name, (n, under_good, under_poor) in numbers[kind].items()
    ]
    wrong = [[kind, share(*counts)] for kind, counts in numbers["wrong"].items()]
    header_flags = ["Name", "Kind", "Results", f"Dice under {GOOD:.2f}", f"Under {POOR:.2f}"]
    return {
        "judgement": f"{markdown_table(header, rows)}\n\n{note}",
        "flags": markdown_table(header_flags, flags, text_columns=(0, 1)),
        "wrong-views": markdown_table(["Not frontal chest radiographs", "Get no results in `deploy`"], wrong),
    }


if __name__ == "__main__":
    sys.exit(run(main))
