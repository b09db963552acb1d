# SPDX-License-Identifier: Apache-2.0
"""Print how well an estimate of quality does on sources that it was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy.stats import binomtest, spearmanr

from lungseg.quality.features import NAMES
from lungseg.quality.flags import DOUBTS, LOW_QUALITY, find_doubts
from lungseg.quality.network import QualityNetwork
from recipes.quality_fit import estimate
from recipes.quality_rows import UNDAMAGED, WRONG, Rows

# Dice of good and of poor results.
_GOOD, _POOR = 0.90, 0.80


def share(number: int, total: int) -> str:
    """Return a share in percent with its 95 % interval (Clopper and Pearson, 1934), and of how many."""
    if not total:
        return "none"
    interval = binomtest(int(number), int(total)).proportion_ci()
    return f"{number / total:.1%} ({interval.low:.1%} to {interval.high:.1%}, n {total})"


def report(rows: Rows, fitted: Mapping[str, QualityNetwork]) -> None:
    """Print tables of each source, and of the doubts.

    Args:
        rows: all results.
        fitted: source -> network that was fitted without it. Wrong images were in all fits.
    """
    quality, lower, doubts = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros((len(rows), len(DOUBTS)), bool)
    for name, network in fitted.items():
        chosen = rows.source == name
        quality[chosen], lower[chosen] = estimate(network, rows.where(chosen))
        doubts[chosen] = _doubts(network, rows.where(chosen), quality[chosen])
    known = rows.kind != WRONG
    _print_sources(rows, quality, lower, list(fitted))
    _print_doubts(rows, doubts, known)
    _print_limits(rows, quality, doubts, known)


def _doubts(network: QualityNetwork, rows: Rows, quality: np.ndarray) -> np.ndarray:
    """Return which doubts apply, (N, doubts) bool, to radiographs that are recognised as frontal."""
    found = []
    for features, shape, estimated in zip(rows.features, rows.shape, quality, strict=True):
        measured = dict(zip(NAMES, features.tolist(), strict=True)) | network.outline(torch.from_numpy(shape)[None])
        names = find_doubts(measured | {"frontal": 1.0}, {}, float(estimated))
        found.append([name in names for name in DOUBTS])
    return np.array(found)


def _print_sources(rows: Rows, quality: np.ndarray, lower: np.ndarray, sources: list[str]) -> None:
    print("| estimate fitted without | results | n | Dice | quality | error | Spearman | bound | holds for |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in sources:
        here = rows.source == name
        groups = {
            "network saw others only": here & (rows.kind == UNDAMAGED) & rows.left_out,
            "validation list": here & (rows.kind == UNDAMAGED) & ~rows.left_out,
            "corrupted": here & (rows.kind != UNDAMAGED),
        }
        for title, chosen in groups.items():
            if chosen.sum() > 1:
                true, guess = rows.dice[chosen], quality[chosen]
                cells = [name, title, str(chosen.sum()), f"{true.mean():.3f}", f"{guess.mean():.3f}"]
                cells += [f"{np.abs(true - guess).mean():.3f}", f"{spearmanr(true, guess).statistic:.2f}"]
                cells += [f"{lower[chosen].mean():.3f}", share((true >= lower[chosen]).sum(), len(true))]
                print(f"| {' | '.join(cells)} |")


def _print_doubts(rows: Rows, doubts: np.ndarray, known: np.ndarray) -> None:
    print(f"\n| doubt | radiographs | Dice under {_GOOD:.2f} | under {_POOR:.2f} | poor ones that carry it alone |")
    print("| --- | --- | --- | --- | --- |")
    for number, name in enumerate(DOUBTS):
        carries = doubts[:, number] & known
        if carries.any():
            true, alone = rows.dice[carries], doubts[carries].sum(1) == 1
            cells = [name, str(carries.sum()), f"{(true < _GOOD).mean():.1%}", f"{(true < _POOR).mean():.1%}"]
            print(f"| {' | '.join([*cells, str((alone & (true < _POOR)).sum())])} |")


def _print_limits(rows: Rows, quality: np.ndarray, doubts: np.ndarray, known: np.ndarray) -> None:
    """Print what other limits of low quality would do to good and to poor results."""
    others = doubts[:, [name != "low-quality" for name in DOUBTS]].any(1)
    sources = sorted(set(rows.source[known]))
    print(f"\n| low quality under | poor with a doubt | good with one: {' | '.join(sources)} |")
    print(f"| --- | --- | {' | '.join('---' for _ in sources)} |")
    poor = known & (rows.dice < _POOR)
    for limit in sorted({0.75, 0.80, 0.82, 0.84, 0.86, 0.88, 0.90, LOW_QUALITY}):
        doubted = others | (quality < limit)
        cells = [f"{limit:.2f}", share(doubted[poor].sum(), poor.sum())]
        for name in sources:
            good = (rows.source == name) & (rows.kind == UNDAMAGED) & (rows.dice >= _GOOD)
            cells.append(share(doubted[good].sum(), good.sum()))
        print(f"| {' | '.join(cells)} |")
