# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.ablations`: effects of CLAHE, augmentation and weight averaging, on the validation lists.

Each variant of `train.json` is trained on one hospital and measured on the validation lists of both: at home, and where
it never was. Small images and few epochs keep it to minutes; only the differences count.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks import record
from benchmarks.tables import NOT_MEASURED, markdown_table
from lungseg.model.paths import config_file
from recipes.command import add_trial, data_folder, parser, run

HOME, AWAY = "montgomery", "shenzhen"
IMAGE_SIZE, EPOCHS = 128, 40
_PLAIN = ("RandSpatialCropd", "Rand2DElasticd", "RandAdjustContrastd", "RandGaussianNoised")


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the table."""
    options = parser("benchmarks.ablations", "Train variants on one hospital and validate them on both.")
    add_trial(options)
    options.add_argument("--variants", nargs="+", choices=list(variants()), default=list(variants()))
    options = options.parse_args(arguments)
    numbers = {} if options.trial else record.load("ablations", {})
    if not options.tables_only:
        data = data_folder(options)
        for name in options.variants:
            numbers[name] = measure(data, variants()[name], 1 if options.trial else EPOCHS)
            if not options.trial:
                record.save("ablations", numbers)
    (record.show if options.trial else record.publish)(tables(numbers))


def variants() -> dict[str, dict]:
    """Return the name of each variant and its overrides of `train.json`."""
    transforms = json.loads(config_file("train").read_text("utf-8"))["train"]["random_transforms"]
    plain = [
        t
        for t in _flat(transforms)
        if t["_target_"] in _PLAIN or t["_target_"].endswith("ScaleIntensityRangePercentilesFastd")
    ]
    plain = [
        t | {"magnitude_range": [0, 0]} if t["_target_"] == "Rand2DElasticd" else t
        for t in plain  # affine, gamma and noise: no elastic warp
    ]

    def without(name: str, within: list[dict] = transforms) -> list[dict]:
        return [
            t | {"transforms": without(name, t["transforms"])} if "transforms" in t else t
            for t in within
            if not t["_target_"].endswith(name)
        ]

    return {
        "as shipped": {},
        "with CLAHE": {"clahe": True},
        "plain augmentation": {"train#random_transforms": plain},
        "no mirroring": {"train#random_transforms": without("RandMirrord")},
        "no opacities and gas": {"train#random_transforms": without("RandSimulateOpacityd")},
        "no weight average": {"ema#momentum": 0.999999, "ema#momentum_warmup": 0.999999},
    }


def _flat(transforms: list[dict]) -> list[dict]:
    """Return the transforms with those within `Compose` and `OneOf` in their place."""
    return [one for t in transforms for one in (_flat(t["transforms"]) if "transforms" in t else [t])]


def measure(data: str, overrides: dict, epochs: int) -> dict[str, float]:
    """Train one variant and return the mean Dice of both lungs on each validation list."""
    from lungseg.evaluation.evaluate import evaluate
    from lungseg.training.train import train

    settings = {"dataset_dir": data, "image_size": IMAGE_SIZE, "epochs": epochs, "val_interval": epochs}
    dice = {}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        train(output / "run", settings | {"data_source#sets": [HOME]} | overrides)
        for name in (HOME, AWAY):
            where = {"dataset_dir": data, "data_source#sets": [name]}
            summary = evaluate(output / name, "validation", output / "run", where)
            dice[name] = summary["overall"]["metrics"]["dice"]["mean"]
    return dice


def tables(numbers: dict[str, dict[str, float]] | None) -> dict[str, str]:
    """Return name -> Markdown."""
    if not numbers:
        return {"ablations": NOT_MEASURED}
    base = numbers.get("as shipped", {})
    rows = [
        [name, *(f"{dice[place]:.4f}{_difference(dice, base, place)}" for place in (HOME, AWAY))]
        for name, dice in numbers.items()
    ]
    header = ["Trained on Montgomery", "Dice on Montgomery", "Dice on Shenzhen"]
    note = f"Validation lists, both lungs, {IMAGE_SIZE} x {IMAGE_SIZE} pixels, {EPOCHS} epochs, one seed."
    return {"ablations": f"{markdown_table(header, rows, text_columns=(0,))}\n\n{note}"}


def _difference(dice: dict[str, float], base: dict[str, float], place: str) -> str:
    return f" ({dice[place] - base[place]:+.4f})" if base and dice is not base else ""


if __name__ == "__main__":
    sys.exit(run(main))
