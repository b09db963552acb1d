# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.floor`: `lungseg predict` against the least that any program of its kind must do.

The floor decodes a picture, shrinks it, runs the network once, enlarges the labels and writes mask and label map, with
the same libraries and a process for each core; it hashes, judges, records and draws nothing. Both take turns.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks import record
from benchmarks.machine import describe
from benchmarks.predict import in_a_process
from benchmarks.tables import NOT_MEASURED, markdown_table
from lungseg.utils.imports import silence_libraries
from recipes.command import add_trial, parser, run

# Side in pixels -> number of files.
SIZES, _TRIAL_SIZES = {512: 240, 2048: 64}, {512: 16, 2048: 8}
ROUNDS = 3
# Drawing a phantom takes longer than segmenting it: the others are copies of these, each moved by some rows.
_DIFFERENT = 4
# Share of the files at the begin and at the end that is not counted: not all processes are at work there.
_LEFT_OUT = 8
# Seconds in which all processes have begun, or one of them has failed.
_PATIENCE = 120

_barrier: Barrier


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the table."""
    options = parser("benchmarks.floor", "Compare lungseg predict with decoding, network and writing alone.")
    add_trial(options)
    options.add_argument("--weights", default="shipped", help="shipped (default), a file, or a run's folder")
    options = options.parse_args(arguments)
    if options.trial:
        record.show(tables(measure(options.weights, _TRIAL_SIZES, rounds=1)))
        return
    if not options.tables_only:
        record.save("floor", measure(options.weights, SIZES, ROUNDS))
    record.publish(tables(record.load("floor", None)))


def measure(weights: str, sizes: dict[int, int], rounds: int) -> dict:
    """Segment folders both ways.

    Args:
        weights: see `lungseg.model.paths.weights_file`.
        sizes: side in pixels -> number of files.
        rounds: how often; the median counts.

    Returns:
        {"machine", "sizes": [{"side", "floor": {"seconds", "cpu"}, "predict": {"seconds", "cpu"}}]}; both are seconds
        per image: those of a clock, and those of all processors.
    """
    numbers: dict = {"machine": describe(), "sizes": []}
    for side, count in sizes.items():
        found: dict[str, list[dict]] = {"floor": [], "predict": []}
        with tempfile.TemporaryDirectory() as folder:
            write_inputs(Path(folder) / "in", side, count)
            for number in range(rounds):
                for name, way in (("floor", floor), ("predict", predict)):
                    print(f"{count} files of {side} x {side} pixels, {name}, round {number + 1}", flush=True)
                    with tempfile.TemporaryDirectory() as output:
                        found[name].append(way(f"{folder}/in", output, weights))
        medians = {
            name: {unit: statistics.median(one[unit] for one in several) for unit in ("seconds", "cpu")}
            for name, several in found.items()
        }
        numbers["sizes"].append({"side": side} | medians)
    return numbers


def write_inputs(folder: Path, side: int, count: int) -> None:
    """Write `count` phantoms of side x side pixels, no two of which have the same content."""
    import numpy as np

    from lungseg.data import phantom
    from lungseg.io import write_png

    drawn = [phantom(number, (side, side))[0] for number in range(min(count, _DIFFERENT))]
    for number in range(count):
        write_png(folder / f"{number:06d}.png", np.roll(drawn[number % _DIFFERENT], number // _DIFFERENT, axis=0))


def floor(inputs: str, output: str, weights: str) -> dict:
    """Decode, segment and write, without anything else, in a process for each core.

    Returns:
        {"seconds", "cpu"} per image.
    """
    from lungseg.utils.parallel import core_count

    cores, files = core_count(), sorted(Path(inputs).iterdir())
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(cores)
    with ProcessPoolExecutor(cores, context, _begin, (barrier,)) as pool:
        shares = [pool.submit(_floor_of, files[number::cores], output, weights) for number in range(cores)]
        found = [share.result() for share in shares]
    # The processes begin at the same time.
    seconds = statistics.mean(one["seconds"] for one in found)
    return {"seconds": seconds / len(files), "cpu": sum(one["cpu"] for one in found) / len(files)}


def _begin(barrier: Barrier) -> None:
    global _barrier
    silence_libraries()
    _barrier = barrier


def _floor_of(files: list[Path], output: str, weights: str) -> dict:
    """Segment some of the files in this process; return {"seconds", "cpu"} of all of them."""
    import numpy as np
    import torch
    from PIL import Image

    from lungseg.inference.predictor import Predictor
    from lungseg.io import encode_png

    torch.set_num_threads(1)
    predictor = Predictor(weights, "cpu")
    size = predictor.inferer.roi_size

    @torch.inference_mode()
    def segment(file: Path) -> None:
        picture = Image.open(file).convert("L")
        small = np.asarray(picture.resize(size, Image.Resampling.BOX), np.float32).T / 255
        logits = predictor.network(torch.from_numpy(np.ascontiguousarray(small))[None, None])
        found = np.ascontiguousarray(logits[0, :3].argmax(0).byte().numpy().T)
        labels = np.asarray(Image.fromarray(found).resize(picture.size, Image.Resampling.NEAREST))
        for kind, values in (("masks", (labels > 0).view(np.uint8) * np.uint8(255)), ("labels", labels)):
            Path(output, f"{kind}-{file.name}").write_bytes(encode_png(values))

    segment(files[0])
    _barrier.wait(_PATIENCE)
    began, worked = time.perf_counter(), time.process_time()
    for file in files:
        segment(file)
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - worked}


def predict(inputs: str, output: str, weights: str) -> dict:
    """Segment a folder as `lungseg predict` does with hundreds of files, report and all; its start does not count.

    Returns:
        {"seconds", "cpu"} per image, the second one of all its processes.
    """
    return in_a_process(_predict, inputs, output, weights)


def _predict(inputs: str, output: str, weights: str) -> dict:
    import psutil

    from lungseg.inference.predict import predict

    own, seen = psutil.Process(), []

    def look(index: int, total: int, row: object) -> None:
        if index in (total // _LEFT_OUT, total - total // _LEFT_OUT):
            times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
            seen.append((index, time.perf_counter(), sum(one.user + one.system for one in times)))

    rows = predict([inputs], output, weights, "cpu", on_result=look, processes=True)
    assert not any(row.status == "failed" for row in rows), rows[0].reason
    (first, began, before), (last, ended, after) = seen
    return {"seconds": (ended - began) / (last - first), "cpu": (after - before) / (last - first)}


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown of the table."""
    if not numbers:
        return {"floor": NOT_MEASURED}
    header = [
        "Input",
        "Floor, images per second",
        "lungseg predict",
        "Ratio of the times",
        "Floor, CPU seconds per image",
        "lungseg predict",
        "Ratio",
    ]
    rows = []
    for one in numbers["sizes"]:
        seconds, cpu = ([one[name][unit] for name in ("floor", "predict")] for unit in ("seconds", "cpu"))
        cells = [*(f"{1 / each:.1f}" for each in seconds), f"{seconds[1] / seconds[0]:.2f}"]
        cells += [*(f"{each:.3f}" for each in cpu), f"{cpu[1] / cpu[0]:.2f}"]
        rows.append([f"{one['side']} x {one['side']}", *cells])
    return {
        "floor": f"{markdown_table(header, rows)}\n\n{numbers['machine']}; 8-bit PNG phantoms, the default outputs."
    }


if __name__ == "__main__":
    sys.exit(run(main))
