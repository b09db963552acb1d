# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.frames`: radiographs in frames, with the crop of uniform borders alone and with that of frames.

Each radiograph of a part of the validation lists is put into a frame of every kind and segmented with both crops.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks import record
from benchmarks.framed import KINDS, framed
from benchmarks.tables import NOT_MEASURED, markdown_table
from recipes.command import add_trial, parser, run

# A result of a lower Dice is wrong.
RIGHT = 0.9
CROPS = ("borders", "frames")
_SIZE, _EVERY, _IN_A_TRIAL = 384, 14, 2


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the table."""
    options = parser("benchmarks.frames", "Measure results of radiographs in frames, on the validation lists.")
    add_trial(options)
    options.add_argument("--weights", default="shipped", help="shipped (default), a file, or a run's folder")
    options = options.parse_args(arguments)
    if options.tables_only:
        record.publish(tables(record.load("frames", None)))
        return
    from lungseg.data import datalist

    config = Path(__file__).parents[1] / "recipes" / "model.json"
    sources = json.loads(config.read_text(encoding="utf-8"))["data_source#sources"]
    listed = datalist(options.data, "validation", sources=sources)[::_EVERY]
    numbers = measure(listed[:_IN_A_TRIAL] if options.trial else listed, options.weights)
    if options.trial:
        record.show(tables(numbers))
        return
    record.save("frames", numbers)
    record.publish(tables(numbers))


def measure(listed: Sequence[dict], weights: str) -> dict:
    """Segment every case in every kind of frame, with both crops.

    Returns:
        {"weights_sha256", "pictures": [{"name", "kind", "crop", "dice", "flagged", "turned"}]}: `flagged` with any
        doubt, `turned` if the picture was turned or inverted.
    """
    from tqdm import tqdm

    from lungseg.model.weights import weights_hash
    from recipes.segmented import Segmenter, cases, dice

    segmenters = {crop: Segmenter(weights) for crop in CROPS}
    _crop_borders_alone(segmenters["borders"].predictor)
    pictures = []
    for case, _, pixels, labels, _ in tqdm(cases(listed, [], 0, _SIZE), total=len(listed), disable=None):
        for kind in KINDS:
            seed = list(f"{case['name']} {kind}".encode())
            picture, reference = framed(kind, pixels, labels, np.random.default_rng(seed))
            for crop, segment in segmenters.items():
                found = segment(picture)
                extent = case["extent"] if found.knows_heart else found.extent
                one = {"name": case["name"], "kind": kind, "crop": crop}
                one |= {"dice": dice(found.label_map(extent), reference), "flagged": bool(found.doubts)}
                pictures.append(one | {"turned": tuple(found.orientation) != (0, False)})
    return {"weights_sha256": weights_hash(segmenters["frames"].predictor.weights), "pictures": pictures}


def _crop_borders_alone(predictor) -> None:
    from monai.transforms import CropForegroundd

    (crop,) = (one for one in predictor.groups["prepare"].flatten().transforms if isinstance(one, CropForegroundd))
    crop.cropper.select_fn = _inside_borders


def _inside_borders(image: torch.Tensor) -> torch.Tensor:
    from lungseg.transforms.borders import without_borders

    pixels = np.asarray(image)[0]
    inside = torch.zeros(1, *pixels.shape, dtype=torch.bool)
    inside[0][without_borders(pixels)] = True
    return inside


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown of the table."""
    if numbers is None:
        return {"frames": NOT_MEASURED}
    header = ["Frame", "Crop", "Pictures", "Dice", "Wrong", "Flagged", "Right, flagged", "Wrong, not flagged", "Turned"]
    rows = []
    for kind in KINDS:
        for crop in CROPS:
            some = [one for one in numbers["pictures"] if (one["kind"], one["crop"]) == (kind, crop)]
            right = [one["dice"] >= RIGHT for one in some]
            flagged = [one["flagged"] for one in some]
            pairs = list(zip(right, flagged, strict=True))
            counts = (len(some) - sum(right), sum(flagged), pairs.count((True, True)), pairs.count((False, False)))
            mean = float(np.mean([one["dice"] for one in some]))
            turned = sum(one["turned"] for one in some)
            rows.append([kind, crop, str(len(some)), f"{mean:.3f}", *map(str, counts), str(turned)])
    note = (
        f"Weights `{numbers['weights_sha256'][:12]}`, validation lists. Crop: uniform borders alone, "
        f"or frames too. Wrong: a Dice under {RIGHT:.2f}. Flagged: with any doubt. Turned: or inverted, wrongly."
    )
    return {"frames": f"{markdown_table(header, rows, text_columns=(0, 1))}\n\n{note}"}


if __name__ == "__main__":
    sys.exit(run(main))
