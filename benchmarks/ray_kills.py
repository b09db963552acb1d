# SPDX-License-Identifier: Apache-2.0
"""What is lost, doubled or different when processes of `lungseg predict --ray` are killed, and then its driver."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

SIDE, WORKERS = 128, 2
_SEED = 0
# How Ray calls the processes that segment, and the one that answers them.
_SEGMENTERS, _LEDGER = "ray::MapWorker", "ray::Ledger"
# Seconds of CPU time that a process has between two kills: it needs some to begin, and some for each batch.
_PAUSES = (2.0, 8.0)
_SECONDS = 600


@dataclass
class Killed:
    """Counts of what was killed by SIGKILL."""

    segmenters: int = 0
    ledgers: int = 0
    drivers: int = 0


def measure_kills(folder: Path, count: int, kills: int, drivers: int) -> dict:
    """Segment a folder without Ray, and with Ray under kills until it is done; compare every row.

    Args:
        folder: an empty folder.
        count: number of different phantoms.
        kills: processes to kill before the driver is killed.
        drivers: how often the driver and its whole cluster are killed; the command is then given again.

    Returns:
        {"radiographs", "side", "segmenters", "ledgers", "drivers", "lost", "doubled", "different", "seconds"}
    """
    from benchmarks.ray_many import write_different

    write_different(folder / "in", SIDE, count)
    print(f"kills: {count} radiographs", flush=True)
    subprocess.run(_command(folder, "plain"), check=True, capture_output=True)
    chance, killed, began = random.Random(_SEED), Killed(), time.perf_counter()
    for _ in range(drivers):
        _disturb(folder, chance, kills, killed)
    ended = subprocess.run(_command(folder, "ray"), capture_output=True, text=True, timeout=_SECONDS)
    seconds = time.perf_counter() - began
    if ended.returncode:
        print(f"the last run ended with {ended.returncode}: {ended.stderr[-2000:]}", flush=True)
    return {"radiographs": count, "side": SIDE, **vars(killed), **compare(folder), "seconds": seconds}


def compare(folder: Path) -> dict[str, int]:
    """Count the rows below `ray` that `plain` has and it has not, that it has twice, and that differ.

    All columns but the seconds are compared, in the Parquet files and in the reports, and the files of the label maps.
    """
    import pyarrow.parquet as pq

    from lungseg.inference.ray.rows import COLUMNS

    expected = {row["name"]: row for row in _reported(folder / "plain")}
    different: set[str] = set()
    report: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for row in _reported(folder / "ray"):
        report[row["name"]] += 1
        if not _same(row, expected.get(row["name"])):
            different.add(row["name"])
    for file in sorted((folder / "ray" / "rows").glob("*.parquet")):
        for line in pq.read_table(file).to_pylist():
            found[key := line["key"]] += 1
            labels = folder / "plain" / "labels" / f"{key}.png"
            row = {name: line[name] for name in COLUMNS}
            if not _same(row, expected.get(key)) or line["labels"] != labels.read_bytes():
                different.add(key)
    return {
        "lost": sum(not found[name] or not report[name] for name in expected),
        "doubled": sum(times > 1 for times in found.values()) + sum(times > 1 for times in report.values()),
        "different": len(different),
    }


def _same(row: dict[str, Any], other: dict[str, Any] | None) -> bool:
    return other is not None and {**row, "seconds": None} == {**other, "seconds": None}


def _reported(output: Path) -> list[dict[str, Any]]:
    """Return the lines of a report, with texts where it has lists, as in the Parquet files."""
    lines = json.loads((output / "report.json").read_text("utf-8"))["files"]
    return [{name: " ".join(cell) if isinstance(cell, list) else cell for name, cell in line.items()} for line in lines]


def _command(folder: Path, output: str) -> list[str]:
    command = [sys.executable, "-m", "lungseg", "predict", str(folder / "in"), "-o", str(folder / output)]
    return [*command, "--ray", "--workers", str(WORKERS)] if output == "ray" else command


def _disturb(folder: Path, chance: random.Random, kills: int, killed: Killed) -> None:
    """Start a run, kill some of its processes, then the driver and all of its cluster, unless it ended before."""
    driver = psutil.Popen(_command(folder, "ray"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        of_ledger = chance.randrange(kills)
        for number in range(kills):
            victim = _busy_segmenter(driver, chance)
            if victim and number == of_ledger:
                victim = next(iter(_processes(driver, _LEDGER)), None)
            if victim:
                with suppress(psutil.NoSuchProcess):
                    victim.kill()
                killed.ledgers += number == of_ledger
                killed.segmenters += number != of_ledger
        if _busy_segmenter(driver, chance):
            killed.drivers += 1
    finally:
        # The cluster's processes are found by their parents, so that the driver comes last.
        for process in [*_descendants(driver), driver]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        driver.wait()


def _busy_segmenter(driver: psutil.Process, chance: random.Random) -> psutil.Process | None:
    """Wait until a process has computed for a time that is drawn by chance; None if the run ends before."""
    seconds = chance.uniform(*_PAUSES)
    before = {process.pid: _computed(process) for process in _processes(driver, _SEGMENTERS)}
    while driver.poll() is None:
        for process in _processes(driver, _SEGMENTERS):
            if _computed(process) > before.get(process.pid, 0) + seconds:
                return process
        time.sleep(0.05)
    return None


def _computed(process: psutil.Process) -> float:
    """Return the CPU time of a process; 0 if it has ended."""
    with suppress(psutil.Error):
        return float(process.cpu_times().user)
    return 0.0


def _processes(driver: psutil.Process, name: str) -> list[psutil.Process]:
    return [one for one in _descendants(driver) if _title(one).startswith(name)]


def _descendants(process: psutil.Process) -> Iterator[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        yield from process.children(recursive=True)


def _title(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def tables(found: dict | None) -> dict[str, str]:
    """Return the table of the numbers that were kept, by its name."""
    from benchmarks.tables import NOT_MEASURED, markdown_table

    if not found:
        return {"ray-kills": NOT_MEASURED}
    names = ("radiographs", "segmenters", "ledgers", "drivers", "lost", "doubled", "different")
    header = ["Radiographs", "Workers killed", "Ledgers killed", "Clusters killed", "Lost", "Doubled", "Different"]
    return {"ray-kills": markdown_table(header, [[str(found[name]) for name in names]], text_columns=())}
