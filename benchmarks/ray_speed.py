# SPDX-License-Identifier: Apache-2.0
"""Images per second of `lungseg predict` with Ray and without, by the number of processes that segment."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.predict import in_a_process, write_inputs
from benchmarks.tables import NOT_MEASURED, markdown_table

SIDE = 512
WAYS = {False: "without Ray", True: "with Ray"}
_WORKERS = (1, 2)
# How many times as many radiographs the long run has. Results of Ray come in batches, and late, so that only whole
# runs can be compared: what both runs need to begin and to end drops out of their difference.
_LONGER = 4


def measure_speed(folder: Path, count: int) -> list[dict]:
    """Segment `count` radiographs, and a part of them, each way, once, in empty folders.

    Returns:
        [{"ray", "workers", "radiographs", "images_per_second": from the difference of both runs, "seconds": of the
        whole long run}]
    """
    runs = {number: folder / f"in {number}" for number in (count // _LONGER, count)}
    for number, inputs in runs.items():
        write_inputs(inputs, SIDE, number)
    found = []
    for workers in _WORKERS:
        for ray in WAYS:
            seconds = {}
            for number, inputs in runs.items():
                print(f"speed: {number} radiographs, {workers} workers {WAYS[ray]}", flush=True)
                output = folder / f"{WAYS[ray]} {workers} {number}"
                seconds[number] = in_a_process(_segment, str(inputs), str(output), ray, workers)["seconds"]
            few, many = runs
            speed = (many - few) / (seconds[many] - seconds[few])
            one = {"ray": ray, "workers": workers, "radiographs": count}
            found.append(one | {"images_per_second": speed, "seconds": seconds[many]})
    return found


def _segment(inputs: str, output: str, ray: bool, workers: int) -> dict:
    from lungseg.inference.predict import predict
    from lungseg.inference.ray.run import predict_on_ray

    began = time.perf_counter()
    if ray:
        rows = [one.status for one in predict_on_ray([inputs], output, workers=workers)]
    else:
        # The label map alone: more is not in the Parquet files either.
        rows = [one.status for one in predict([inputs], output, kinds=("labels",), workers=workers, processes=True)]
    seconds = time.perf_counter() - began
    assert "failed" not in rows
    return {"seconds": seconds}


def tables(found: list[dict] | None) -> dict[str, str]:
    """Return the table of the numbers that were kept, by its name."""
    if not found:
        return {"ray-speed": NOT_MEASURED}
    rows = [
        [
            str(one["workers"]),
            WAYS[one["ray"]],
            f"{one['images_per_second']:.1f}",
            f"{one['seconds']:.0f} s",
        ]
        for one in found
    ]
    header = ["Workers", "", "Images per second, without start and end", "The whole run"]
    note = f"{found[0]['radiographs']} radiographs of {SIDE} x {SIDE} pixels; label maps and no other pictures."
    return {"ray-speed": f"{markdown_table(header, rows, text_columns=(1,))}\n\n{note}"}
