# SPDX-License-Identifier: Apache-2.0
"""Flags: reasons to doubt a result, by rules over its features.

`FLAGS` names each flag with its reason, the most serious first. Quarter turns and inversion are corrected before the
radiograph is segmented; the flags report that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

FLAGS = {
    "not-frontal": "this does not look like a frontal chest radiograph",
    "lateral": "the file says that this is a lateral view",
    "oblique": "the file says that this is an oblique view",
    "no-lung": "no lung was found",
    "one-lung": "one lung is missing or largely white",
    "quarter-turn": "the picture was turned by {degrees} degrees counter-clockwise; it was segmented upright",
    "tilted": "the patient or the picture is tilted",
    "inverted": "the grey values were inverted; they were corrected before segmenting",
    "mirrored": "the picture seems to be mirrored, or the heart is on the right",
    "mirrored-header": "the file says that the picture is mirrored: right and left may be exchanged",
    "cropped": "a lung is cut off by the edge of the picture",
    "unusual-shape": "the lungs have an unusual shape or size",
    "low-contrast": "the lungs have little contrast to their surroundings",
    "uncertain-border": "the borders of the lungs are uncertain",
    "models-disagree": "a second network finds different lungs",
    "low-quality": "the estimated quality is low",
}


def flags(measured: Mapping[str, float], meta: Mapping[str, Any], quality: float) -> dict[str, str]:
    """Return the flags that apply: name -> reason in words, the most serious first.

    Args:
        measured: the results of `features` and `contrasts` of :mod:`lungseg.quality.features`, with
            `shape_distance`, `residual` and `laterality_logit`.
        meta: `view`, `flipped`, `quarter_turns`, `inverted` and `mirrored` of the image.
        quality: the estimated Dice.
    """
    degrees = {"degrees": 90 * meta.get("quarter_turns", 0)}
    return {name: FLAGS[name].format_map(degrees) for name in FLAGS if _RULES[name](measured, meta, quality)}


def _mirrored(measured: Mapping[str, float], meta: Mapping[str, Any]) -> float:
    """Return a logit: that of the whole picture, and half of that of the lungs' outline."""
    seen: float = min(max(meta["mirrored"], 1e-4), 1 - 1e-4)
    return math.log(seen / (1 - seen)) - measured["laterality_logit"] / 2


def _is_white(measured: Mapping[str, float]) -> bool:
    low, high = sorted((measured["right_contrast"], measured["left_contrast"]))
    return low < 0.08 and low < 0.45 * high


_Rule = Callable[[Mapping[str, float], Mapping[str, Any], float], bool]
# No uncorrupted radiograph of the training and validation lists comes near these limits.
_RULES: dict[str, _Rule] = {
    "not-frontal": lambda m, meta, q: m["frontal"] < 0 or (m["area"] > 0 and m["shape_distance"] > 9),
    "lateral": lambda m, meta, q: bool(meta.get("view") == "lateral"),
    "oblique": lambda m, meta, q: bool(meta.get("view") == "oblique"),
    "no-lung": lambda m, meta, q: m["area"] == 0,
    "one-lung": lambda m, meta, q: m["area"] > 0 and (not 0.22 < m["right_share"] < 0.78 or _is_white(m)),
    "quarter-turn": lambda m, meta, q: bool(meta.get("quarter_turns", 0) != 0),
    "tilted": lambda m, meta, q: m["area"] > 0 and (m["tilt"] > 20 or m["upright"] < 0.9),
    "inverted": lambda m, meta, q: bool(meta.get("inverted", 0) != 0),
    "mirrored": lambda m, meta, q: m["area"] > 0 and _mirrored(m, meta) > 2,
    "mirrored-header": lambda m, meta, q: bool(meta.get("flipped")),
    "cropped": lambda m, meta, q: m["edge"] > 0.45,
    "unusual-shape": lambda m, meta, q: (
        m["area"] > 0 and (m["shape_distance"] > 6.5 or m["islands"] > 0.2 or m["area"] < 0.05)
    ),
    "low-contrast": lambda m, meta, q: m["area"] > 0 and m["contrast"] < 0.05,
    "uncertain-border": lambda m, meta, q: m["area"] > 0 and m["agreement"] < 0.85,
    "models-disagree": lambda m, meta, q: m["area"] > 0 and m["second"] < 0.88,
    "low-quality": lambda m, meta, q: q < 0.9,
}
