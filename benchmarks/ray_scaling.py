# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.ray_scaling`: `lungseg predict --ray` under kills, its speed, and how it grows."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks import ray_engine, ray_kills, ray_many, ray_speed
from benchmarks.machine import describe
from benchmarks.record import load, publish, save, show
from recipes.command import add_trial, parser, run

KILL_COUNT, KILLS, DRIVERS = 1000, 4, 2
SPEED_COUNT = 800
# Radiographs for each worker: six batches.
GROWTH_SHARE, GROWTH_MOST = 384, 20_000
MODULES = {"kills": ray_kills, "speed": ray_speed, "growth": ray_engine, "many": ray_many}
_TRIAL_KILLS, _TRIAL_SPEED, _TRIAL_GROWTH, _TRIAL_MANY = (40, 1, 1), 16, (16, 400), 60


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the tables."""
    options = parser("benchmarks.ray_scaling", "Segment phantoms with Ray on this machine.")
    add_trial(options)
    options.add_argument("--only", choices=list(MODULES)[:-1], help="measure only this, and keep it with the rest")
    options.add_argument(
        "--many", type=int, metavar="N", help="measure only N small radiographs in one run, and keep it with the rest"
    )
    chosen = options.parse_args(arguments)
    numbers = load("ray_scaling", {})
    if not chosen.tables_only:
        names = ["many"] if chosen.many else [chosen.only] if chosen.only else list(MODULES)[:-1]
        found = {name: _measure(name, chosen.trial, chosen.many) for name in names}
        if chosen.trial:
            show(tables(found))
            return
        numbers |= found
        save("ray_scaling", numbers)
    publish(tables(numbers))


def _measure(name: str, trial: bool, many: int | None) -> dict:
    """Return {"machine", "found": what the module measured}: not all need be measured on the same machine."""
    with tempfile.TemporaryDirectory(prefix="lungseg-ray-") as made:
        folder = Path(made)
        if name == "kills":
            found = ray_kills.measure_kills(folder, *(_TRIAL_KILLS if trial else (KILL_COUNT, KILLS, DRIVERS)))
        elif name == "speed":
            found = ray_speed.measure_speed(folder, _TRIAL_SPEED if trial else SPEED_COUNT)
        elif name == "growth":
            found = ray_engine.measure_growth(*(_TRIAL_GROWTH if trial else (GROWTH_SHARE, GROWTH_MOST)))
        else:
            found = ray_many.measure_many(folder, min(many, _TRIAL_MANY) if trial else many)
    return {"machine": describe(), "found": found}


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown of the tables about Ray."""
    shown: dict[str, str] = {}
    for name, module in MODULES.items():
        one = (numbers or {}).get(name)
        made = module.tables(one["found"] if one else None)
        shown |= {table: f"{text}\n\n{one['machine']}." for table, text in made.items()} if one else made
    return shown


if __name__ == "__main__":
    sys.exit(run(main))
