# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.robustness`: corrupted radiographs and wrong images, and whether the quality reveals them.

Measured on the test lists; everything was fitted and chosen on the training and validation lists.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks import record
from benchmarks.tables import NOT_MEASURED, markdown_table
from recipes.command import add_trial, data_folder, parser, run
from recipes.excluded_references import TEST, VALIDATION

POOR = 0.90
_COPIES = 2
# Estimates that the picture alone does not allow, and their names in the tables.
_ORACLES = {"change": ", change known", "undamaged": ", uncorrupted known"}


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the tables."""
    options = parser("benchmarks.robustness", "Measure corruptions, wrong images, and the estimate of quality.")
    add_trial(options)
    options.add_argument("--weights", default="shipped", help="shipped (default), a file, or a run's folder")
    options.add_argument("--split", default="test", choices=["validation", "test"])
    options = options.parse_args(arguments)
    if options.tables_only:
        record.publish(tables(record.load("robustness", None)))
        return
    from lungseg.data import datalist

    listed = datalist(data_folder(options), options.split)
    numbers = measure(listed[::24] if options.trial else listed, options.split, options.weights)
    if options.trial or options.split != "test":
        record.show(tables(numbers))
        return
    record.save("robustness", numbers)
    record.publish(tables(numbers))


def measure(listed: Sequence[dict], section: str, weights: str) -> dict:
    """Segment every case uncorrupted and corrupted, and the wrong images.

    Returns:
        {"section", "weights_sha256", "radiographs": [{"kind", "held_out", "n", "dice", "quality", "poor", "flagged",
        "spearman", "auc", "oracles": {name: {"spearman", "auc"}}}] with groups after the kinds, "wrong": [{"source",
        "held_out", "n", "flagged"}], "doubts": {doubt: uncorrupted radiographs that carry it}}.
    """
    from tqdm import tqdm

    from lungseg.model.weights import weights_hash
    from recipes.corruptions import HELD_OUT, KINDS
    from recipes.other_images import other_images
    from recipes.segmented import Segmenter, cases, dice

    segment = Segmenter(weights)
    seen = []
    for case, kind, pixels, labels, moved in tqdm(
        cases(listed, list(KINDS), _COPIES), total=len(listed) * (1 + _COPIES * len(KINDS)), disable=None
    ):
        prediction = segment(pixels)
        true = dice(prediction.labels, labels)
        if kind == "none":
            undamaged, true_undamaged = prediction, true
        oracles = {
            "change": undamaged.quality * dice(prediction.labels, moved(undamaged.labels)),
            "undamaged": true_undamaged * prediction.quality / undamaged.quality,
        }
        found = (true, prediction.quality, [oracles[name] for name in _ORACLES], tuple(prediction.doubts))
        seen.append((case["name"], kind, *found))
    groups: dict[str, Callable[[str, str], bool]] = {
        **{kind: lambda case, k, kind=kind: k == kind for kind in ("none", *KINDS)},
        "kinds of corruption that were fitted": lambda case, kind: kind != "none" and kind not in HELD_OUT,
        "kinds held out of the fit": lambda case, kind: kind in HELD_OUT,
        "all": lambda case, kind: True,
        "all whose reference is not visibly wrong": lambda case, kind: case not in TEST | VALIDATION,
    }
    wrong: dict[tuple[str, bool], list[bool]] = {}
    for held_out in (False, True):
        for source, _, pixels in other_images(held_out):
            wrong.setdefault((source, held_out), []).append(bool(segment(pixels).doubts))
    names_undamaged = [names for _, kind, *_, names in seen if kind == "none"]
    return {
        "section": section,
        "weights_sha256": weights_hash(segment.predictor.weights),
        "radiographs": [
            {"kind": name, "held_out": name in HELD_OUT} | _summary([one[2:] for one in seen if belongs(*one[:2])])
            for name, belongs in groups.items()
        ],
        "wrong": [
            {"source": source, "held_out": held_out, "n": len(flagged), "flagged": float(np.mean(flagged))}
            for (source, held_out), flagged in wrong.items()
        ],
        "doubts": {
            name: sum(name in names for names in names_undamaged)
            for name in sorted({n for names in names_undamaged for n in names})
        },
    }


def _summary(seen: list[tuple]) -> dict:
    true, quality, oracles, names = zip(*seen, strict=True)
    true, quality, oracles = np.array(true), np.array(quality), np.array(oracles)
    poor = true < POOR
    flagged = np.array([bool(one) for one in names])
    return {
        "n": len(seen),
        "dice": float(true.mean()),
        "quality": float(quality.mean()),
        "poor": float(poor.mean()),
        "flagged": float(flagged.mean()),
        "missed": float((poor & ~flagged).mean()),
        **_order(quality, true),
        "oracles": {name: _order(oracle, true) for name, oracle in zip(_ORACLES, oracles.T, strict=True)},
    }


def _order(estimate: np.ndarray, true: np.ndarray) -> dict[str, float | None]:
    """How well an estimate puts pictures in the order of their true Dice, and finds the poor ones."""
    from scipy.stats import rankdata, spearmanr

    poor = true < POOR
    auc = None
    if poor.any() and not poor.all():
        # The area under the ROC curve is the share of pairs in the right order (Mann and Whitney 1947).
        ranks, count = rankdata(-estimate), poor.sum()
        auc = float((ranks[poor].sum() - count * (count + 1) / 2) / (count * (len(poor) - count)))
    return {"spearman": float(spearmanr(estimate, true).statistic), "auc": auc}


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown of the tables about corruptions and about wrong images."""
    if numbers is None:
        return dict.fromkeys(("robustness", "quality-limits", "wrong-images"), NOT_MEASURED)
    header = ["Corruption", "Pictures", "Dice", "Quality", "Poor", "Flagged", "Poor, not flagged", "Spearman", "AUC"]
    rows = [
        [
            row["kind"] + (" (held out)" if row["held_out"] else ""),
            str(row["n"]),
            f"{row['dice']:.3f}",
            f"{row['quality']:.3f}",
            f"{row['poor']:.1%}",
            f"{row['flagged']:.1%}",
            f"{row['missed']:.1%}",
            *_cells(row),
        ]
        for row in numbers["radiographs"]
    ]
    note = (
        f"Weights `{numbers['weights_sha256'][:12]}`, {numbers['section']} lists. Quality: the estimated Dice. "
        f"Poor: a true Dice under {POOR:.2f}. Spearman: rank correlation of the two. AUC: for finding the poor by the "
        "quality."
    )
    wrong = [
        [row["source"] + (" (held out)" if row["held_out"] else ""), str(row["n"]), f"{row['flagged']:.1%}"]
        for row in numbers["wrong"]
    ]
    for title, held_out in (("all that were fitted", False), ("all held out of the fit", True)):
        some = [row for row in numbers["wrong"] if row["held_out"] == held_out]
        count = sum(row["n"] for row in some)
        wrong.append([title, str(count), f"{sum(row['n'] * row['flagged'] for row in some) / count:.1%}"])
    return {
        "robustness": f"{markdown_table(header, rows)}\n\n{note}",
        "quality-limits": _limits_table(numbers["radiographs"]),
        "wrong-images": markdown_table(["Not frontal chest radiographs", "Pictures", "Flagged"], wrong)
        + "\n\nFlagged: with any doubt.",
    }


def _limits_table(radiographs: list[dict]) -> str:
    from recipes.corruptions import KINDS

    header = ["Pictures"]
    header += [f"{name}{known}" for known in ("", *_ORACLES.values()) for name in ("Spearman", "AUC")]
    rows = []
    for row in radiographs:
        if row["kind"] not in ("none", *KINDS):
            orders = [row, *(row["oracles"][name] for name in _ORACLES)]
            rows.append([row["kind"], *(text for order in orders for text in _cells(order))])
    note = (
        "Upper bounds: the results of an estimate that knows more than the picture. Change known: the quality of the "
        "uncorrupted picture times the Dice of both results. Uncorrupted known: the true Dice of the uncorrupted "
        "picture times the share of its quality that is left."
    )
    return f"{markdown_table(header, rows)}\n\n{note}"


def _cells(order: dict[str, float | None]) -> list[str]:
    return [f"{order['spearman']:.2f}", "" if order["auc"] is None else f"{order['auc']:.3f}"]


if __name__ == "__main__":
    sys.exit(run(main))
