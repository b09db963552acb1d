# SPDX-License-Identifier: Apache-2.0
"""Flags: notes on the picture, and doubts about the result, by rules over its features.

A note describes the picture and may be true of a perfect result. A doubt predicts that the result is poor. `NOTES` and
`DOUBTS` name each flag with its sentence, the most serious first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

NOTES = {
    "one-lung": "one lung is missing, or much smaller than the other",
    "opaque-lung": "one lung is largely white",
    "quarter-turn": "the picture was turned by {degrees} degrees counter-clockwise; it was segmented upright",
    "inverted": "the grey values were inverted; they were corrected before segmenting",
    "mirrored": "the picture seems to be mirrored, or the heart is on the right",
    "mirrored-header": "the file says that the picture is mirrored: right and left may be exchanged",
    "tilted": "the patient or the picture is tilted",
    "cropped": "a lung is cut off by the edge of the picture",
    "low-contrast": "the lungs have little contrast to their surroundings",
    "filled-in": "the file lacks attributes, or states them wrongly; this was assumed: {filled_in}",
}
DOUBTS = {
    "other-object": "the file says {stated_object}",
    "not-frontal": "this does not look like a frontal chest radiograph",
    "lateral": "this is a lateral view",
    "oblique": "the file says that this is an oblique view",
    "no-lung": "no lung was found",
    "unusual-shape": "the lungs have an unusual shape or size",
    "uncertain-border": "the borders of the lungs are uncertain",
    "low-quality": "the estimated quality is low",
}
# Doubts that say that the picture is not a frontal chest radiograph at all.
NOT_FRONTAL = frozenset(("other-object", "not-frontal", "lateral", "no-lung"))

# No radiograph of the validation lists has a lower probability of a frontal view than .70.
LEAST_FRONTAL = 0.6
# Where the result is worth little, too, a lower certainty is enough: 0.3 % of the good results that the estimate was
# fitted to, corrupted ones among them, have such a low quality, and 86 % of the wrong images.
_SURELY_FRONTAL, _WORTH_LITTLE = 0.95, 0.7
# A result of a lower estimated quality is doubted.
LOW_QUALITY = 0.80


def find_notes(measured: Mapping[str, float], meta: Mapping[str, Any]) -> dict[str, str]:
    """Return the notes that apply: name -> sentence, the most serious first.

    Args:
        measured: the result of :func:`lungseg.quality.features.features`, with `laterality_logit` of
            :meth:`lungseg.quality.network.QualityNetwork.outline`, and the probability `mirrored` of the picture.
        meta: `flipped`, `filled_in`, `quarter_turns` and `inverted` of the image, as far as they are known.
    """
    facts = {"degrees": 90 * meta.get("quarter_turns", 0), "filled_in": meta.get("filled_in")}
    return {name: NOTES[name].format_map(facts) for name in NOTES if _NOTE_RULES[name](measured, meta)}


def find_doubts(measured: Mapping[str, float], meta: Mapping[str, Any], quality: float) -> dict[str, str]:
    """Return the doubts that apply: name -> sentence, the most serious first.

    Args:
        measured: the result of :func:`lungseg.quality.features.features`, with `shape_distance` of
            :meth:`lungseg.quality.network.QualityNetwork.outline`, and the probabilities `frontal` and, if it is known,
            `lateral` of the picture.
        meta: `view` and `stated_object` of the image, if they are known.
        quality: the estimated Dice.
    """
    facts = {"stated_object": meta.get("stated_object")}
    return {name: DOUBTS[name].format_map(facts) for name in DOUBTS if _DOUBT_RULES[name](measured, meta, quality)}


def _is_white(measured: Mapping[str, float]) -> bool:
    """Return whether one lung hardly differs from its surroundings, and the other one does."""
    low, high = sorted((measured["right_contrast"], measured["left_contrast"]))
    return low < 0.08 and low < 0.45 * high


def _is_mirrored(measured: Mapping[str, float]) -> bool:
    """Return whether a logit is high: that of the whole picture, less half of that of the lungs' outline.

    On the validation lists this is true of none of 213 radiographs, and of 87 % of their mirror images.
    """
    probability = min(max(measured["mirrored"], 1e-4), 1 - 1e-4)
    return math.log(probability / (1 - probability)) - measured["laterality_logit"] / 2 > 1


_NoteRule = Callable[[Mapping[str, float], Mapping[str, Any]], bool]
_NOTE_RULES: dict[str, _NoteRule] = {
    "one-lung": lambda m, meta: m["area"] > 0 and not 0.22 < m["right_share"] < 0.78,
    "opaque-lung": lambda m, meta: m["area"] > 0 and _is_white(m),
    "quarter-turn": lambda m, meta: meta.get("quarter_turns", 0) != 0,
    "inverted": lambda m, meta: meta.get("inverted", 0) != 0,
    "mirrored": lambda m, meta: m["area"] > 0 and _is_mirrored(m),
    "mirrored-header": lambda m, meta: bool(meta.get("flipped")),
    "tilted": lambda m, meta: m["area"] > 0 and m["tilt"] > 20,
    "cropped": lambda m, meta: m["edge"] > 0.45,
    "low-contrast": lambda m, meta: m["area"] > 0 and m["contrast"] < 0.05,
    "filled-in": lambda m, meta: bool(meta.get("filled_in")),
}
_DoubtRule = Callable[[Mapping[str, float], Mapping[str, Any], float], bool]
_DOUBT_RULES: dict[str, _DoubtRule] = {
    "other-object": lambda m, meta, q: bool(meta.get("stated_object")),
    "not-frontal": lambda m, meta, q: m["frontal"] < (_SURELY_FRONTAL if q < _WORTH_LITTLE else LEAST_FRONTAL),
    "lateral": lambda m, meta, q: meta.get("view") == "lateral" or m.get("lateral", 0) > 0.5,
    "oblique": lambda m, meta, q: meta.get("view") == "oblique",
    "no-lung": lambda m, meta, q: m["area"] == 0,
    "unusual-shape": lambda m, meta, q: (
        m["area"] > 0 and (m["shape_distance"] > 9 or m["islands"] > 0.2 or m["area"] < 0.03)
    ),
    "uncertain-border": lambda m, meta, q: m["area"] > 0 and m["agreement"] < 0.8,
    "low-quality": lambda m, meta, q: q < LOW_QUALITY,
}
