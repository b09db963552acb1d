# SPDX-License-Identifier: Apache-2.0
"""What is doubtful about a result, by rules over its features."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping


def flags(measured: dict[str, float], meta: Mapping, quality: float) -> dict[str, str]:
    """Return what is doubtful: short name -> reason in words, the gravest first.

    Args:
        measured: as `features` and `contrasts` of :mod:`lungseg.quality.features` return it, with
            `shape_distance`, `residual` and `laterality_logit`.
        meta: `view`, `flipped`, `quarter_turns`, `inverted` and `mirrored` of the image.
        quality: the estimated Dice.
    """
    degrees = {"degrees": 90 * meta.get("quarter_turns", 0)}
    return {name: reason.format_map(degrees) for name, reason, applies in _RULES if applies(measured, meta, quality)}


def _mirrored(measured: Mapping, meta: Mapping) -> float:
    """Return a logit: what the whole picture says, and half of what the lungs' outline says."""
    seen = min(max(meta["mirrored"], 1e-4), 1 - 1e-4)
    return math.log(seen / (1 - seen)) - measured["laterality_logit"] / 2


def _is_white(measured: Mapping) -> bool:
    low, high = sorted((measured["right_contrast"], measured["left_contrast"]))
    return low < 0.08 and low < 0.45 * high


_Rule = Callable[[Mapping, Mapping, float], bool]


# The limits lie where no undamaged radiograph of the training and validation lists comes near.
_RULES: tuple[tuple[str, str, _Rule], ...] = (
    (
        "not-frontal",
        "this does not look like a frontal chest radiograph",
        lambda m, meta, q: m["frontal"] < 0 or (m["area"] > 0 and m["shape_distance"] > 9),
    ),
    ("lateral", "the file says that this is a lateral view", lambda m, meta, q: meta.get("view") == "lateral"),
    ("oblique", "the file says that this is an oblique view", lambda m, meta, q: meta.get("view") == "oblique"),
    ("no-lung", "no lung was found", lambda m, meta, q: m["area"] == 0),
    (
        "one-lung",
        "one lung is missing or largely white",
        lambda m, meta, q: m["area"] > 0 and (not 0.22 < m["right_share"] < 0.78 or _is_white(m)),
    ),
    (
        "quarter-turn",
        "the picture is turned by {degrees} degrees counter-clockwise, and was set upright before segmenting",
        lambda m, meta, q: meta.get("quarter_turns", 0) != 0,
    ),
    (
        "tilted",
        "the patient or the picture is rotated",
        lambda m, meta, q: m["area"] > 0 and (m["tilt"] > 20 or m["upright"] < 0.9),
    ),
    (
        "inverted",
        "the grey values are inverted, and were set right before segmenting",
        lambda m, meta, q: meta.get("inverted", 0) != 0,
    ),
    (
        "mirrored",
        "the picture seems to be mirrored, or the heart lies on the right",
        lambda m, meta, q: m["area"] > 0 and _mirrored(m, meta) > 2,
    ),
    (
        "mirrored-header",
        "the file says that the picture is mirrored: right and left may be exchanged",
        lambda m, meta, q: bool(meta.get("flipped")),
    ),
    ("cropped", "a lung is cut off by the picture's edge", lambda m, meta, q: m["edge"] > 0.45),
    (
        "unusual-shape",
        "the lungs have an unusual shape or size",
        lambda m, meta, q: m["area"] > 0 and (m["shape_distance"] > 6.5 or m["islands"] > 0.2 or m["area"] < 0.05),
    ),
    (
        "low-contrast",
        "the lungs hardly differ from what surrounds them",
        lambda m, meta, q: m["area"] > 0 and m["contrast"] < 0.05,
    ),
    ("uncertain-border", "the borders are unsure", lambda m, meta, q: m["area"] > 0 and m["agreement"] < 0.85),
    ("models-disagree", "a second network finds other lungs", lambda m, meta, q: m["area"] > 0 and m["second"] < 0.88),
    ("low-quality", "the estimated quality is low", lambda m, meta, q: q < 0.9),
)
