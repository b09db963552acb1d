# SPDX-License-Identifier: Apache-2.0
"""Turn or invert a radiograph only where its result is better for it.

The judgement of the picture as it was read says which turns and whether an inversion are suspected. Only those
alternatives are segmented and judged too, and the best is kept: the usual picture takes one pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, NamedTuple, TypeVar

# An alternative is tried where its probability is higher than this; where the result is poor, a smaller one suffices.
_SUSPECTED, _SUSPECTED_IF_POOR = 0.02, 0.002
_POOR = 0.85
# By how much an alternative must be better than the picture as it was read, on the scale of `score`.
_MARGIN = 1.0
_TURNS = ("upright", "turned_90", "turned_180", "turned_270")
# Probabilities nearer to 0 or 1 are all the same.
_LEAST = 1e-3

Judgement = Mapping[str, Any]
_Kept = TypeVar("_Kept")


class Orientation(NamedTuple):
    """How a picture was turned (counter-clockwise as seen, in quarters) and whether it was inverted."""

    quarter_turns: int
    inverted: bool


AS_READ = Orientation(0, False)


def best(first: _Kept, judgement: Callable[[_Kept], Judgement], segment: Callable[[Orientation], _Kept]) -> _Kept:
    """Return the best result of a picture: the first one, or that of a suspected alternative.

    Args:
        first: the result of the picture as it was read.
        judgement: returns the `quality` and `recognised` of a result, see
            :class:`lungseg.quality.transform.EstimateQualityd`; without them, the first result is kept.
        segment: segments the picture as if it were turned and inverted so.
    """
    kept, least = first, score(judgement(first)) + _MARGIN
    for orientation in suspected(judgement(first)):
        other = segment(orientation)
        if (found := score(judgement(other))) > least:
            kept, least = other, found
    return kept


def suspected(judgement: Judgement) -> list[Orientation]:
    """Return the alternatives that a picture as it was read may need."""
    if "recognised" not in judgement:
        return []
    probability = judgement["recognised"]
    least = _SUSPECTED_IF_POOR if judgement["quality"] < _POOR else _SUSPECTED
    turns = [turns for turns, name in enumerate(_TURNS) if turns == 0 or probability[name] > least]
    inversions = [False, True] if probability["inverted"] > least else [False]
    return [found for found in map(Orientation._make, product(turns, inversions)) if found != AS_READ]


def score(judgement: Judgement) -> float:
    """Return how good a result is: the logit of its quality, and of looking like an upright frontal radiograph."""
    if "recognised" not in judgement:
        return 0.0
    probability = judgement["recognised"]
    looks = probability["frontal"] * probability["upright"] * (1 - probability["inverted"])
    return _logit(judgement["quality"]) + _logit(looks)


def _logit(probability: float) -> float:
    inside = min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(inside / (1 - inside))
