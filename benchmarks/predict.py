# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.predict`: how fast a folder is segmented, which stage takes the time, how much memory it takes.

The radiographs are phantoms, noise and all, so that they cost as much to decode and to write as real ones. Each
measurement has a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from unittest import mock

from benchmarks import record
from benchmarks.command import add_trial, hush, parser, run
from benchmarks.machine import describe
from benchmarks.tables import NOT_MEASURED, markdown_table

STAGES = {
    "read": "decode",
    "prepare": "prepare",
    "network": "network",
    "finish": "finish",
    "overlay": "draw overlay",
    "write": "write",
    "rest": "rest",
}
# Side in pixels -> number of files.
SPEED = {512: 40, 2048: 20}
THREADS = (1, 2)
MEMORY_SIDE, MEMORY_COUNTS = 1024, (20, 200)
_TRIAL_SPEED, _TRIAL_COUNTS = {512: 3, 1024: 3}, (2, 6)
# More would take longer to draw than to segment.
_DIFFERENT = 5


def main(arguments: list[str] | None = None) -> None:
    """Measure unless told not to; rewrite the tables."""
    options = parser("predict", "Segment folders of phantoms as lungseg predict does.")
    add_trial(options)
    options.add_argument("--weights", default="shipped", help="shipped (default), a file, or a run's folder")
    options = options.parse_args(arguments)
    if options.tables_only:
        record.publish(tables(record.load("predict", None)))
    elif options.trial:
        record.show(tables(measure(options.weights, _TRIAL_SPEED, _TRIAL_COUNTS)))
    else:
        numbers = measure(options.weights, SPEED, MEMORY_COUNTS)
        record.save("predict", numbers)
        record.publish(tables(numbers))


def measure(weights: str, speed: dict[int, int], memory_counts: tuple[int, ...]) -> dict:
    """Segment the folders.

    Args:
        weights: see `lungseg.locate.weights_file`.
        speed: side in pixels -> number of files, for the speeds.
        memory_counts: numbers of files, for the memory.

    Returns:
        {"machine", "speed": [...], "memory": [...]}, lists of {"side", "files", "threads"} and what `segment` returns.
    """
    runs = {
        "speed": [(side, count, threads) for side, count in speed.items() for threads in THREADS],
        "memory": [(MEMORY_SIDE, count, 1) for count in memory_counts],
    }
    numbers = {"machine": describe()}
    for kind, settings in runs.items():
        numbers[kind] = []
        for side, count, threads in settings:
            print(f"{kind}: {count} files of {side} x {side} pixels, {threads} threads", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                write_inputs(Path(folder) / "in", side, count)
                figures = _in_a_process(segment, f"{folder}/in", f"{folder}/out", weights, threads)
            numbers[kind].append({"side": side, "files": count, "threads": threads} | figures)
    return numbers


def write_inputs(folder: Path, side: int, count: int) -> None:
    """Write `count` radiographs of side x side pixels; a few different ones, over and over."""
    from lungseg.data import phantom
    from lungseg.images import write_png

    for number in range(min(count, _DIFFERENT)):
        write_png(folder / f"{number:03d}.png", phantom(number, (side, side))[0])
    for number in range(_DIFFERENT, count):
        os.link(folder / f"{number % _DIFFERENT:03d}.png", folder / f"{number:03d}.png")


def _in_a_process(work: Callable[..., dict], *arguments: object) -> dict:
    # Started anew, not forked: neither threads nor memory are inherited.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=hush) as pool:
        return pool.submit(work, *arguments).result()


def segment(inputs: str, output: str, weights: str, threads: int) -> dict:
    """Segment a folder in this process, which should do nothing else.

    Returns:
        {"seconds": per image, from the end of the first one to that of the last one, "stages": {stage: seconds per
        image}, "peak_bytes": largest resident set of the process}.
    """
    import torch

    from lungseg import segmentation

    torch.set_num_threads(threads)
    stages: dict[str, float] = defaultdict(float)
    ends: list[float] = []

    def timed(stage: str, function: Callable) -> Callable:
        def call(*arguments):
            began = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                stages[stage] += time.perf_counter() - began

        return call

    class Noting(segmentation.Predictor):
        def predict(self, path):
            prediction = super().predict(path)
            for stage, seconds in prediction.seconds.items():
                stages[stage] += seconds
            return prediction

    def done(index: int, total: int, row) -> None:
        if not ends:
            # The first image warms everything up.
            stages.clear()
        ends.append(time.perf_counter())

    with (
        mock.patch.object(segmentation, "Predictor", Noting),
        mock.patch.object(segmentation, "draw_overlay", timed("overlay", segmentation.draw_overlay)),
        mock.patch.object(segmentation, "write_png", timed("write", segmentation.write_png)),
    ):
        segmentation.predict([inputs], output, weights, "cpu", done)
    images = len(ends) - 1
    seconds = (ends[-1] - ends[0]) / images
    shares = {stage: total / images for stage, total in stages.items()}
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "seconds": seconds,
        "stages": shares | {"rest": seconds - sum(shares.values())},
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
    }


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown of the tables about prediction."""
    if numbers is None:
        return {"predict": NOT_MEASURED, "predict-memory": NOT_MEASURED}
    speed = [
        [
            f"{run['side']} x {run['side']}",
            str(run["threads"]),
            f"{1 / run['seconds']:.2f}",
            *(f"{run['stages'][stage] / run['seconds']:.0%}" for stage in STAGES),
        ]
        for run in numbers["speed"]
    ]
    header = ["Input", "Threads", "Images per second", *STAGES.values()]
    least = numbers["memory"][0]["peak_bytes"]
    memory = [
        [str(run["files"]), f"{run['peak_bytes'] / 2**20:.0f} MiB", f"{run['peak_bytes'] / least:.2f}"]
        for run in numbers["memory"]
    ]
    side = numbers["memory"][0]["side"]
    return {
        "predict": f"{markdown_table(header, speed)}\n\n{numbers['machine']}; 8-bit PNG phantoms; share of each stage.",
        "predict-memory": f"{markdown_table(['Files', 'Peak memory', 'Ratio'], memory, text_columns=())}\n\n"
        f"{side} x {side} pixels, 1 thread, the whole process with PyTorch and MONAI.",
    }


if __name__ == "__main__":
    sys.exit(run(main))
