# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.windows`: sliding windows against one resized pass, on the validation lists."""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import record
from benchmarks.tables import NOT_MEASURED
from recipes.command import add_trial, data_folder, parser, run

OVERLAPS = (0.25, 0.5, 0.75)
ONE_PASS = "one resized pass"
_SETS = ("montgomery", "shenzhen")
_IN_A_TRIAL = 2


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the table."""
    options = parser("benchmarks.windows", "Compare sliding windows with one resized pass, on the validation lists.")
    add_trial(options)
    options.add_argument("--weights", default="shipped", help="shipped (default), a file, or a run's folder")
    options = options.parse_args(arguments)
    if options.tables_only:
        record.publish(tables(record.load("windows", None)))
        return
    from lungseg.data import datalist

    data = data_folder(options)
    cases = [
        case
        for name in _SETS
        for case in datalist(data, "validation", sets=[name])[: _IN_A_TRIAL if options.trial else None]
    ]
    numbers = measure(data, cases, options.weights)
    if options.trial:
        record.show(tables(numbers))
        return
    record.save("windows", numbers)
    record.publish(tables(numbers))


def measure(data: str, cases: Sequence[dict], weights: str) -> dict:
    """Segment each case in each shape by each method.

    Args:
        data: folder of the data set.
        cases: as `lungseg.data.datalist` returns them.
        weights: see `lungseg.model.paths.weights_file`.

    Returns:
        {"weights_sha256", "default_overlap": that of inference.json, "rows": [{"shape", "method", "dice": {set: mean
        Dice of both lungs}, "n": {set: images}, "windows": forward passes per image}]}.
    """
    from tqdm import tqdm

    from benchmarks.shapes import original_sizes, shapes
    from lungseg.data import read_label
    from lungseg.io import read_radiograph, write_png
    from lungseg.model.weights import weights_hash

    methods = _methods(weights)
    dice, windows = defaultdict(list), defaultdict(list)
    variants = shapes(original_sizes(data))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "radiograph.png"
        for case in tqdm(cases, unit="case", disable=None):
            image = read_radiograph(case["image"]).pixels.astype(np.uint8)
            reference = read_label(case["label"]).labels
            for shape, vary in variants.items():
                picture, expected = vary(case["name"], image, reference)
                write_png(file, picture)
                for method, counted in methods.items():
                    found, passes = counted.segment(file)
                    dice[shape, method, case["set"]].append(_dice(found > 0, expected > 0))
                    windows[shape, method].append(passes)
    sets = sorted({case["set"] for case in cases})
    rows = [
        {
            "shape": shape,
            "method": method,
            "dice": {name: float(np.mean(dice[shape, method, name])) for name in sets},
            "n": {name: len(dice[shape, method, name]) for name in sets},
            "windows": float(np.mean(windows[shape, method])),
        }
        for shape, method in windows
    ]
    unchanged = methods[ONE_PASS].predictor
    return {
        "weights_sha256": weights_hash(unchanged.weights),
        "default_overlap": float(unchanged.inferer.overlap),
        "rows": rows,
    }


class _Counted:
    """A predictor that counts the windows that it gives to the network."""

    def __init__(self, predictor) -> None:
        self.predictor, self._passes = predictor, 0
        predictor.network.register_forward_pre_hook(self._count)

    def _count(self, network, inputs: tuple) -> None:
        self._passes += inputs[0].shape[0]

    def segment(self, file: Path) -> tuple[np.ndarray, int]:
        """Return the label map (H, W) and the number of forward passes, one per window."""
        self._passes = 0
        return self.predictor.predict(file).labels, self._passes


def _methods(weights: str) -> dict[str, _Counted]:
    from benchmarks.single_pass import squeeze
    from lungseg import Predictor

    # Not `lungseg.load`, whose predictors are shared: these are changed.
    methods = {ONE_PASS: _Counted(squeeze(Predictor(weights)))}
    for overlap in OVERLAPS:
        predictor = Predictor(weights)
        predictor.inferer.overlap = overlap
        methods[f"windows, overlap {overlap}"] = _Counted(predictor)
    return methods


def _dice(found: np.ndarray, expected: np.ndarray) -> float:
    from monai.metrics import compute_dice
    from torch import from_numpy

    return compute_dice(*(from_numpy(mask)[None, None] for mask in (found, expected))).item()


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown of the sentence about windows."""
    if numbers is None:
        return {"windows": NOT_MEASURED}
    base = {row["shape"]: _overall(row) for row in numbers["rows"] if row["method"] == ONE_PASS}
    gains = "; ".join(
        f"{row['shape']}: {_overall(row) - base[row['shape']]:+.4f} ({row['windows']:.1f} windows an image)"
        for row in numbers["rows"]
        if row["method"].endswith(f" {numbers['default_overlap']}")
    )
    images = ", ".join(f"{count} {name.title()}" for name, count in sorted(numbers["rows"][0]["n"].items()))
    return {
        "windows": f"Gain in mean Dice of windows with the default overlap over one resized pass, by input: {gains}. "
        f"Weights `{numbers['weights_sha256'][:12]}`; validation lists: {images}."
    }


def _overall(row: dict) -> float:
    return sum(row["dice"][name] * row["n"][name] for name in row["n"]) / sum(row["n"].values())


if __name__ == "__main__":
    sys.exit(run(main))
