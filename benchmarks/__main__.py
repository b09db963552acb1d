# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks`: run them all, one after the other, with the same options."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module

from recipes.command import run

NAMES = (
    "accuracy",
    "ablations",
    "windows",
    "robustness",
    "orientation",
    "frames",
    "judgement",
    "training",
    "training_memory",
    "fine_tuning",
    "predict",
    "floor",
    "start",
    "memory",
    "peers",
    "report_page",
    "annotation",
    "deploy",
    "ray_scaling",
    "hostile",
    "field",
)


def main(arguments: list[str] | None = None) -> int:
    """Run every benchmark, also those after one that fails; return the worst exit status."""
    worst = 0
    for name in NAMES:
        print(f"== {name}", flush=True)
        try:
            worst = max(worst, run(import_module(f"benchmarks.{name}").main, arguments))
        except Exception:  # one that fails does not stop the others
            traceback.print_exc()
            worst = 1 if worst == 0 else worst
    return worst


if __name__ == "__main__":
    sys.exit(main())
