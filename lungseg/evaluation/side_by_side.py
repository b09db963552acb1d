# SPDX-License-Identifier: Apache-2.0
"""Draw the predictions of several evaluations, and the reference, on one radiograph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lungseg.evaluation.measured import Measured
from lungseg.report.outlines import Drawing
from lungseg.report.page import jpeg_uri
from lungseg.utils.text import escape_control

# Okabe and Ito's palette for colour-blind people: sky blue, orange, bluish green, reddish purple, yellow, vermilion.
_COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00")


def draw_case(name: str, measured: Sequence[Measured]) -> dict[str, Any] | None:
    """Return a case as templates/viewer.js takes it, with an outline for each evaluation, in a colour of its own.

    Args:
        name: of the case.
        measured: the evaluations.

    Returns:
        The case without `figures`, or None if an evaluation has no outlines of it, or none has its picture.
    """
    pictures = [one.rows[name].get("picture") or {} for one in measured]
    file = next((one.pictures[name] for one in measured if name in one.pictures), None)
    if file is None or not all({"prediction", "reference"} <= picture.keys() for picture in pictures):
        return None
    predictions = [Drawing(**picture["prediction"]) for picture in pictures]
    # Below the others: where they hide it, they agree with it.
    reference = _layer("reference", "#ffffff", Drawing(**pictures[0]["reference"])) | {"dashed": True}
    layers = [
        _layer(escape_control(one.name), _COLOURS[number % len(_COLOURS)], drawing)
        for number, (one, drawing) in enumerate(zip(measured, predictions, strict=True))
    ]
    return {
        "title": escape_control(name),
        "plain": jpeg_uri(file.read_bytes()),
        "width": predictions[0].width,
        "height": predictions[0].height,
        "outlines": [reference, *layers],
        # In the colours of no evaluation.
        "marks": [{**mark, "colour": "#ffffff"} for mark in predictions[0].letters()],
    }


def _layer(name: str, colour: str, drawing: Drawing) -> dict[str, Any]:
    """Return all outlines of a drawing as one layer."""
    return {"name": name, "colour": colour, "dashed": False, "path": "".join(drawing.outlines.values())}
