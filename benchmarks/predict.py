# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.predict`: speed and time of each stage of segmenting a folder.

The radiographs are phantoms, noise and all, so that they cost as much to decode and to write as real ones. Each
measurement has a process of its own; all of them write the same kinds of files.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from benchmarks import record
from benchmarks.machine import describe
from benchmarks.tables import NOT_MEASURED, markdown_table
from lungseg.utils.imports import silence_libraries
from recipes.command import add_trial, parser, run

STAGES = {
    "read": "decode",
    "prepare": "prepare",
    "network": "network",
    "finish": "finish",
    "write": "draw and write",
}


class Way(NamedTuple):
    """The precision, and whether the workers are processes, as for a folder of hundreds, or threads."""

    precision: str
    processes: bool = True


# None is the plain way; the others are compared with it.
WAYS = {
    "plain: PyTorch, fp32, one after the other": None,
    "PyTorch, fp32 (default)": Way("fp32"),
    "PyTorch, bf16": Way("bf16"),
    "PyTorch, fp32, threads (default for a few files)": Way("fp32", processes=False),
}
PLAIN, *_ = WAYS
# Side in pixels -> number of files.
SPEED = {512: 120, 2048: 48}
ROUNDS = 3
_TRIAL_SPEED = {512: 16, 2048: 16}
# More would take longer to draw than to segment.
_DIFFERENT = 5
# At either end the workers are not all busy.
_LEFT_OUT = 4


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the tables."""
    options = parser("benchmarks.predict", "Segment folders of phantoms as lungseg predict does.")
    add_trial(options)
    options.add_argument("--weights", default="shipped", help="shipped (default), a file, or a run's folder")
    options = options.parse_args(arguments)
    numbers = record.load("predict", None)
    if options.trial:
        record.show(tables(measure(options.weights, _TRIAL_SPEED, rounds=1)))
        return
    if not options.tables_only:
        numbers = measure(options.weights, SPEED, ROUNDS)
        record.save("predict", numbers)
    record.publish(tables(numbers))


def measure(weights: str, speed: dict[int, int], rounds: int) -> dict:
    """Segment the folders.

    Args:
        weights: see `lungseg.model.paths.weights_file`.
        speed: side in pixels -> number of files, for the speeds.
        rounds: how often each speed is measured, all ways in turn; the median counts.

    Returns:
        {"machine", "speed": [{"side", "way", "seconds"}], "stages": [{"side", "stages": {stage: seconds}}]}; seconds
        are per image.
    """
    numbers = {"machine": describe(), "speed": [], "stages": []}
    for side, count in speed.items():
        with tempfile.TemporaryDirectory() as folder:
            write_inputs(Path(folder) / "in", side, count)
            found: dict[str, list[dict]] = {name: [] for name, way in WAYS.items() if can_run(way)}
            for _ in range(rounds):
                for name, measured in found.items():
                    print(f"{count} files of {side} x {side} pixels, {name}", flush=True)
                    with tempfile.TemporaryDirectory() as output:
                        measured.append(segment_folder(WAYS[name], f"{folder}/in", output, weights))
        for name, measured in found.items():
            seconds = statistics.median(one["seconds"] for one in measured)
            numbers["speed"].append({"side": side, "way": name, "seconds": seconds})
        stages = {stage: statistics.median(one["stages"][stage] for one in found[PLAIN]) for stage in STAGES}
        numbers["stages"].append({"side": side, "stages": stages})
    return numbers


def segment_folder(way: Way | None, inputs: str, output: str, weights: str) -> dict:
    """Return {"seconds"} per image, and further figures of the way."""
    if way is None:
        return in_a_process(one_by_one, inputs, output, weights)
    return in_a_process(overlapped, inputs, output, weights, *way)


def can_run(way: Way | None) -> bool:
    """Whether this machine has the precision."""
    from lungseg.model.backends import cpu_is_faster_in_bf16

    if way is None:
        return True
    return way.precision == "fp32" or cpu_is_faster_in_bf16()


def write_inputs(folder: Path, side: int, count: int) -> None:
    """Write `count` radiographs of side x side pixels; a few different ones, over and over."""
    from lungseg.data import phantom
    from lungseg.io import write_png

    for number in range(min(count, _DIFFERENT)):
        write_png(folder / f"{number:06d}.png", phantom(number, (side, side))[0])
    for number in range(_DIFFERENT, count):
        os.link(folder / f"{number % _DIFFERENT:06d}.png", folder / f"{number:06d}.png")


def in_a_process(work: Callable[..., dict], *arguments: object) -> dict:
    """Call `work` in a process started anew, not forked: neither threads nor memory are inherited."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=silence_libraries) as pool:
        return pool.submit(work, *arguments).result()


def one_by_one(inputs: str, output: str, weights: str) -> dict:
    """Segment a folder the plain way: PyTorch in single precision, with all its threads for one image at a time.

    Returns:
        {"seconds", "stages": {stage: seconds}} per image.
    """
    from lungseg.inference.outputs import Outputs
    from lungseg.inference.predictor import Predictor

    predictor, outputs = Predictor(weights, "cpu"), Outputs(Path(output))
    ends, stages = [], []
    for path in sorted(Path(inputs).iterdir()):
        prediction = predictor.predict(path)
        began = time.perf_counter()
        stem = Path(path.stem)
        outputs.write(stem, outputs.encode(stem, prediction)[0])
        ends.append(time.perf_counter())
        stages.append(prediction.seconds | {"write": ends[-1] - began})
    return {
        "seconds": per_image(ends),
        "stages": {stage: statistics.median(one[stage] for one in stages) for stage in STAGES},
    }


def overlapped(
    inputs: str,
    output: str,
    weights: str,
    precision: str = "fp32",
    processes: bool | None = None,
) -> dict:
    """Segment a folder as `lungseg predict` does, report and all.

    Returns:
        {"seconds": per image}.
    """
    from lungseg.inference.predict import predict

    ends: list[float] = []
    rows = predict(
        [inputs],
        output,
        weights,
        "cpu",
        on_result=lambda index, total, row: ends.append(time.perf_counter()),
        precision=precision,
        processes=processes,
    )
    assert not any(row.status == "failed" for row in rows), rows[0].reason
    return {"seconds": per_image(ends)}


def per_image(ends: list[float]) -> float:
    """Return the time that an image takes from when each was done; the first and the last few are left out."""
    left_out = min(_LEFT_OUT, (len(ends) - 1) // 3)
    middle = ends[left_out : len(ends) - left_out]
    return (middle[-1] - middle[0]) / max(1, len(middle) - 1)


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown of the tables about prediction."""
    found = dict.fromkeys(("predict-speed", "predict"), NOT_MEASURED)
    if numbers and "speed" in numbers:
        found |= {"predict-speed": _speed_table(numbers), "predict": _stages_table(numbers)}
    return found


def _speed_table(numbers: dict) -> str:
    sides = list(dict.fromkeys(one["side"] for one in numbers["speed"]))
    seconds = {(one["way"], one["side"]): one["seconds"] for one in numbers["speed"]}
    rows = [
        [
            name,
            *(
                cell
                for side in sides
                for cell in (
                    f"{1 / seconds[name, side]:.1f}",
                    f"{seconds[PLAIN, side] / seconds[name, side]:.2f}",
                )
            ),
        ]
        for name in WAYS
        if (name, sides[0]) in seconds
    ]
    header = ["", *(text for side in sides for text in (f"Images per second, {side} x {side}", "Ratio"))]
    return f"{markdown_table(header, rows)}\n\n{numbers['machine']}; 8-bit PNG phantoms, the default outputs."


def _stages_table(numbers: dict) -> str:
    rows = []
    for one in numbers["stages"]:
        whole = sum(one["stages"].values())
        cells = (f"{one['stages'][stage]:.3f} s ({one['stages'][stage] / whole:.0%})" for stage in STAGES)
        rows.append([f"{one['side']} x {one['side']}", *cells])
    return f"{markdown_table(['Input', *STAGES.values()], rows)}\n\nThe plain way, per image."


if __name__ == "__main__":
    sys.exit(run(main))
