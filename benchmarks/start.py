# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.start`: how long `lungseg predict` of a single file takes, beside the import of PyTorch alone.

Each command is a new process, on a warm disk; all commands are run in turn, round after round.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks import record
from benchmarks.machine import describe
from benchmarks.tables import NOT_MEASURED, markdown_table
from lungseg.utils.imports import silence_libraries
from recipes.command import add_trial, parser, run

ROUNDS = 7
SIDE, SEVERAL = 512, 20
TORCH, FORWARD, HELP = 'python -c "import torch"', "the same, and one pass of the network", "lungseg --help"
PNG, DICOM = "lungseg predict one.png", "lungseg predict one.dcm"
MANY = f"lungseg predict, {SEVERAL} PNG files"
# Of the time of `FORWARD`, and of processor time.
_TIMES, _HELP_SECONDS = 1.5, 0.3
# The layers of the network in their order, each on an input of its size: as PyTorch alone builds and runs them.
_PASS = """
import json, sys, torch
with torch.inference_mode():
    for kind, options, shape in json.load(open(sys.argv[1])):
        getattr(torch.nn, kind)(**options).eval()(torch.zeros(shape))
"""


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the table."""
    options = parser("benchmarks.start", "Segment one file in a new process, as a shell does.")
    add_trial(options)
    options = options.parse_args(arguments)
    numbers = record.load("start", None)
    if options.trial:
        record.show(tables(measure(1)))
        return
    if not options.tables_only:
        numbers = measure(ROUNDS)
        record.save("start", numbers)
    record.publish(tables(numbers))


def measure(rounds: int) -> dict:
    """Run each command `rounds` times, after once that does not count.

    Returns:
        {"machine", "commands": [{"command", "seconds", "cpu_seconds"}]}: medians, and processor time of all processes.
    """
    numbers = {"machine": describe(), "commands": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        found: dict[str, list[tuple[float, float]]] = {}
        for number in range(rounds + 1):
            print(f"round {number} of {rounds}", flush=True)
            for command, arguments in commands(folder, folder / f"out {number}").items():
                timed = run_timed([sys.executable, *arguments])
                if number:
                    found.setdefault(command, []).append(timed)
    for command, measured in found.items():
        seconds, cpu_seconds = (median(column) for column in zip(*measured, strict=True))
        numbers["commands"].append({"command": command, "seconds": seconds, "cpu_seconds": cpu_seconds})
    return numbers


def commands(folder: Path, output: Path) -> dict[str, list[str]]:
    """Return name -> arguments of Python, for the files that `write_inputs` wrote to `folder`."""

    def predict(name: str) -> list[str]:
        return ["-m", "lungseg", "predict", str(folder / name), "-o", str(output / name)]

    return {
        TORCH: ["-c", "import torch"],
        FORWARD: ["-c", _PASS, str(folder / "layers.json")],
        HELP: ["-m", "lungseg", "--help"],
        PNG: predict("one.png"),
        DICOM: predict("one.dcm"),
        MANY: predict("several"),
    }


def write_inputs(folder: Path) -> None:
    """Write phantoms, and the layers of the shipped network."""
    import numpy as np

    from benchmarks.deploy import write_radiograph
    from lungseg.data import phantom
    from lungseg.io import write_png

    pixels = phantom(0, (SIDE, SIDE))[0]
    write_png(folder / "one.png", pixels)
    write_radiograph(folder / "one.dcm", pixels.astype(np.uint16) * 16, "one")
    (folder / "several").mkdir()
    for number in range(SEVERAL):
        os.link(folder / "one.png", folder / "several" / f"{number}.png")
    (folder / "layers.json").write_text(json.dumps(layers(folder / "one.png")), encoding="utf-8")


def layers(radiograph: Path) -> list[tuple[str, dict, list[int]]]:
    """Return name in `torch.nn`, arguments and shape of the input of each layer that a radiograph goes through."""
    import lungseg

    predictor, found = lungseg.load(device="cpu"), []

    def note(layer, inputs, output) -> None:
        options = {name: getattr(layer, name, None) for name in inspect.signature(type(layer)).parameters}
        plain = {name: value for name, value in options.items() if isinstance(value, int | float | str | tuple)}
        found.append((type(layer).__name__, plain, list(inputs[0].shape)))

    hooks = [one.register_forward_hook(note) for one in predictor.network.modules() if not list(one.children())]
    predictor.run([predictor.prepare(radiograph)])
    for hook in hooks:
        hook.remove()
    return found


def run_timed(command: list[str]) -> tuple[float, float]:
    """Run a command that must succeed; return its seconds, and those of processor time, its children's included."""
    import resource

    def processor_time() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before, began = processor_time(), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began, processor_time() - before


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown of the table."""
    if not numbers:
        return {"start": NOT_MEASURED}
    measured = {one["command"]: one for one in numbers["commands"]}
    most = _TIMES * measured[FORWARD]["seconds"]
    goals: dict[str, Callable[[dict], float]] = {
        HELP: lambda one: one["cpu_seconds"] / _HELP_SECONDS,
        PNG: lambda one: one["seconds"] / most,
        DICOM: lambda one: one["seconds"] / most,
    }
    rows = [
        [
            command,
            f"{one['seconds']:.2f}",
            f"{one['cpu_seconds']:.2f}",
            f"{goals[command](one):.2f}" if command in goals else "",
        ]
        for command, one in measured.items()
    ]
    header = ["Command", "Seconds", "Seconds of processor time", "Ratio to the goal"]
    return {"start": f"{markdown_table(header, rows)}\n\n{numbers['machine']}; {SIDE} x {SIDE} pixels, warm disk."}


if __name__ == "__main__":
    silence_libraries()
    sys.exit(run(main))
