# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.orientation`: whether turned, inverted and framed radiographs keep their result.

Each radiograph of every source is segmented as it is, without any alternative; then so are its copies, with the
alternatives. A copy should have the same Dice.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks import record
from benchmarks.tables import NOT_MEASURED, markdown_table
from lungseg.inference.orientation import Orientation
from recipes.command import add_trial, parser, run

# A smaller change of the Dice is not counted.
LIMIT = 0.05
_SIZE = 768
_FRAME = 0.12


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the table."""
    options = parser("benchmarks.orientation", "Measure whether turned, inverted and framed copies keep their result.")
    add_trial(options)
    options.add_argument("--weights", default="shipped", help="shipped (default), a file, or a run's folder")
    options.add_argument("--split", default="test", choices=["validation", "test"])
    options.add_argument("--every", type=int, default=1, help="take every so-manieth radiograph")
    options = options.parse_args(arguments)
    if options.tables_only:
        record.publish(tables(record.load("orientation", None)))
        return
    from lungseg.data import datalist

    config = Path(__file__).parents[1] / "recipes" / "model.json"
    sources = json.loads(config.read_text(encoding="utf-8"))["data_source#sources"]
    listed = datalist(options.data, options.split, sources=sources)[:: 40 if options.trial else options.every]
    numbers = measure(listed, options.split, options.weights)
    if options.trial or options.split != "test" or options.every > 1:
        record.show(tables(numbers))
        return
    record.save("orientation", numbers)
    record.publish(tables(numbers))


def measure(listed: Sequence[dict], section: str, weights: str) -> dict:
    """Segment every case and its copies.

    Returns:
        {"section", "weights_sha256", "copies": [{"source", "name", "copy", "dice", "change", "right"}]}: `change` of
        the Dice against the radiograph as it is, without alternatives; `right` if its orientation was found.
    """
    from tqdm import tqdm

    from lungseg.model.weights import weights_hash
    from recipes.segmented import Segmenter, cases, dice

    segment = Segmenter(weights)
    copies = []
    for case, _, pixels, labels, _ in tqdm(cases(listed, [], 0, _SIZE), total=len(listed), disable=None):
        extent = case["extent"]
        usual = dice(segment.as_read(pixels)[0][extent], labels)
        for name, (orientation, change) in COPIES.items():
            prediction = segment(np.ascontiguousarray(change(pixels, True)))
            found = dice(_label_map(prediction, extent), change(labels, False))
            right = prediction.orientation == orientation
            one = {"source": case["set"], "name": case["name"], "copy": name}
            copies.append(one | {"dice": found, "change": found - usual, "right": bool(right)})
    return {"section": section, "weights_sha256": weights_hash(segment.predictor.weights), "copies": copies}


def _label_map(prediction, extent: str) -> np.ndarray:
    return prediction.label_map(extent if prediction.knows_heart else prediction.extent)


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown of the table."""
    if numbers is None:
        return {"orientation": NOT_MEASURED}
    seen = numbers["copies"]
    header = [
        "Source",
        "Copy",
        "Pictures",
        "Orientation found",
        f"Dice changes by more than {LIMIT:.2f}",
        "Worst change",
    ]
    rows = []
    for source in sorted({one["source"] for one in seen}):
        for copy in COPIES:
            some = [one for one in seen if (one["source"], one["copy"]) == (source, copy)]
            changes = [one["change"] for one in some]
            changed = sum(abs(change) > LIMIT for change in changes)
            found = sum(one["right"] for one in some)
            rows.append([source, copy, str(len(some)), str(found), str(changed), f"{min(changes):+.3f}"])
    note = f"Weights `{numbers['weights_sha256'][:12]}`, {numbers['section']} lists."
    return {"orientation": f"{markdown_table(header, rows, text_columns=(0, 1))}\n\n{note}"}


def _inverted(pixels: np.ndarray, is_image: bool) -> np.ndarray:
    return pixels.max() + pixels.min() - pixels if is_image else pixels


def _turned(turns: int) -> Callable[[np.ndarray, bool], np.ndarray]:
    return lambda pixels, is_image: np.rot90(pixels, turns)


def _framed(light: bool) -> Callable[[np.ndarray, bool], np.ndarray]:
    def frame(pixels: np.ndarray, is_image: bool) -> np.ndarray:
        level = (pixels.max() if light else pixels.min()) if is_image else 0
        return np.pad(pixels, [(round(_FRAME * side),) * 2 for side in pixels.shape], constant_values=level)

    return frame


# Name -> the right orientation, and a function of pixels or of labels.
COPIES: dict[str, tuple[Orientation, Callable[[np.ndarray, bool], np.ndarray]]] = {
    "as it is": (Orientation(0, False), lambda pixels, is_image: pixels),
    "inverted": (Orientation(0, True), _inverted),
    "turned by 90 degrees": (Orientation(1, False), _turned(1)),
    "turned by 180 degrees": (Orientation(2, False), _turned(2)),
    "turned by 270 degrees": (Orientation(3, False), _turned(3)),
    "in a light frame": (Orientation(0, False), _framed(True)),
    "in a dark frame": (Orientation(0, False), _framed(False)),
}


if __name__ == "__main__":
    sys.exit(run(main))
