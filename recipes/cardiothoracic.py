# SPDX-License-Identifier: Apache-2.0
"""Find how far the interval of the cardiothoracic ratio must be widened to hold for nine in ten radiographs.

    python -m recipes.cardiothoracic HEARTS --weights shipped --split validation

`HEARTS` is the folder of radiographs with masks of lungs and heart. The command prints the factor, which is `_WIDENING`
in `lungseg/inference/cardiothoracic.py`, and the errors. Choose the factor on the validation list; report errors on the
test list.
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path

import numpy as np

from lungseg.inference.cardiothoracic import border_shares, find_profiles, measure_widths
from lungseg.inference.predictor import Predictor
from lungseg.io import read_radiograph


def _read(file: Path) -> np.ndarray:
    return read_radiograph(file).pixels.astype(np.uint8)


def measure(folder: Path, weights: str, split: str) -> tuple[list[float], list[float]]:
    """Return the error of each ratio, and the factor by which its interval must be widened to hold the reference."""
    predictor = Predictor(weights, device="cpu", ctr="always", keep_probabilities=True)
    predictor.check_knows_heart()
    errors, factors = [], []
    for row in csv.DictReader((folder / "manifest.csv").open(newline="")):
        if row["split"] != split or row["reference_wrong"] == "1":
            continue
        file = f"{row['name']}.png"
        reference = measure_widths(_read(folder / "labels" / file), _read(folder / "hearts" / file) > 0, tilt=0.0)
        prediction = predictor.predict(folder / "images" / file)
        found = prediction.cardiothoracic_ratio
        assert reference, file
        assert found, file
        assert found.value, file
        off = reference.ratio / found.value - 1
        below, above = border_shares(find_profiles(prediction.probabilities))
        errors.append(found.value - reference.ratio)
        factors.append(abs(off) / max(1e-6, above if off > 0 else below))
    return errors, factors


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("--split", default="validation", choices=("train", "validation", "test"))
    options = parser.parse_args()
    errors, factors = measure(options.folder, options.weights, options.split)
    # The quantile of split conformal prediction.
    place = min(len(factors), math.ceil(0.9 * (len(factors) + 1)))
    print(f"{len(errors)} radiographs; error {np.mean(errors):+.4f}, absolute {np.mean(np.abs(errors)):.4f}")
    print(f"factor for nine in ten: {sorted(factors)[place - 1]:.2f}")


if __name__ == "__main__":
    main()
