# SPDX-License-Identifier: Apache-2.0
"""Many small radiographs through Ray in one run, and the same run again: speed, and whether its memory grows."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.peak_memory import PeakMemory
from benchmarks.predict import in_a_process
from benchmarks.tables import NOT_MEASURED, markdown_table

SIZE = (80, 96)
# To draw each anew would take longer than to segment it.
_DRAWN = 200


def write_different(folder: Path, side: int | tuple[int, int], count: int) -> None:
    """Write phantoms of side x side or width x height pixels, each with content of its own, if only by a few pixels."""
    from lungseg.data import phantom
    from lungseg.io import write_png

    size = (side, side) if isinstance(side, int) else side
    drawn = [phantom(number, size)[0] for number in range(min(count, _DRAWN))]
    for number in range(count):
        pixels = drawn[number % _DRAWN].copy()
        pixels[0, :4] = list(number.to_bytes(4, "big"))
        write_png(folder / f"{number:06d}.png", pixels)


def measure_many(folder: Path, count: int) -> dict:
    """Segment many, and give the command again.

    Args:
        folder: an empty folder.
        count: number of radiographs.

    Returns:
        {"radiographs", "rows", "reports", "size", "first": of the run, "again": of the same run again}, see `_watched`.
    """
    print(f"many: {count} radiographs", flush=True)
    write_different(folder / "in", SIZE, count)
    first, again = (in_a_process(_watched, str(folder / "in"), str(folder / "out"), count) for _ in range(2))
    return {"radiographs": count, "rows": _rows(folder / "out"), "size": SIZE, "first": first, "again": again}


def _rows(output: Path) -> int:
    """Return the number of different rows."""
    import pyarrow.parquet as pq

    files = sorted((output / "rows").glob("*.parquet"))
    return len({key for file in files for key in pq.read_table(file, columns=["key"])["key"].to_pylist()})


def _watched(inputs: str, output: str, count: int) -> dict:
    """Run once.

    Returns:
        {"seconds": of the whole run, "images_per_second": between the first and the last tenth, "reused", "peak_bytes":
        of all processes, "driver_bytes": of the driver alone, at each tenth, "driver_seconds": its CPU time}
    """
    import psutil

    from lungseg.inference.ray.run import predict_on_ray

    driver, began = psutil.Process(), time.perf_counter()
    ends, sizes = [], []

    def on_result(done: int, total: int, ending: object) -> None:
        if done * 10 // total > (done - 1) * 10 // total:
            ends.append(time.perf_counter())
            sizes.append(driver.memory_info().rss)

    with PeakMemory() as memory:
        endings = predict_on_ray([inputs], output, on_result=on_result)
    cpu = driver.cpu_times()
    return {
        "seconds": time.perf_counter() - began,
        "images_per_second": 0.8 * count / (ends[-2] - ends[0]),
        "reused": sum(one.reused for one in endings),
        "peak_bytes": memory.bytes,
        "driver_bytes": sizes,
        "driver_seconds": cpu.user + cpu.system,
    }


def tables(found: dict | None) -> dict[str, str]:
    """Return the table of the numbers that were kept, by its name."""
    if not found:
        return {"ray-many": NOT_MEASURED}
    rows = []
    for name, title in (("first", "all of them"), ("again", "the same command again")):
        one = found[name]
        rows.append(
            [
                title,
                f"{found['radiographs'] - one['reused']:,}",
                f"{one['reused']:,}",
                f"{one['seconds']:.0f} s",
                f"{one['images_per_second']:.0f}",
                f"{one['peak_bytes'] / 2**20:.0f} MiB",
                f"{one['driver_bytes'][0] / 2**20:.0f} MiB",
                f"{one['driver_bytes'][-1] / 2**20:.0f} MiB",
                f"{one['driver_seconds']:.0f} s",
            ]
        )
    header = ["Run", "Segmented", "Reused", "Time", "Images per second", "Peak memory, all processes"]
    header += ["Driver's memory after a tenth", "Driver's memory at the end", "Driver's CPU time"]
    width, height = found["size"]
    note = (
        f"{found['radiographs']:,} different phantoms of {width} x {height} pixels; {found['rows']:,} different rows."
    )
    return {"ray-many": f"{markdown_table(header, rows)}\n\n{note}"}
