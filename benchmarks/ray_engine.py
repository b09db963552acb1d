# SPDX-License-Identifier: Apache-2.0
"""What Ray and the driver cost when the network costs nothing: workers that sleep instead of segmenting.

Everything else is as it is in `lungseg predict --ray`: listing, batches, the ledger, the Parquet files, the report.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.predict import in_a_process, write_inputs
from benchmarks.tables import NOT_MEASURED, markdown_table
from lungseg.inference.ray.actor import Segmenter
from lungseg.inference.ray.ledger import Turn
from lungseg.inference.ray.results import key_of
from lungseg.inference.ray.rows import Ending, Result
from lungseg.inference.ray.source import Input
from lungseg.report.table import Row
from lungseg.utils.imports import silence_libraries

# Seconds that a radiograph takes in a sleeping worker: short, so that the engine has much to do.
PRETENDED = 0.05
ACTORS = (1, 2, 4, 8)
# Those that do not sleep compute, and share the machine's two cores with the driver.
_BUSY_ACTORS = 2
# Of which the document's sentence speaks.
_REAL_SECONDS = 0.1
_LABEL_SIDE = 512
# Process -> how its command begins.
_ROLES = {"ledger": "ray::Ledger", "workers": "ray::MapWorker"}
# Column that takes a text; others take a number.
_TEXTS = ("file", "status", "reason", "code", "name", "spacing_kind", "ctr_note", "doubts", "notes")


def measure_growth(share: int, most: int) -> list[dict]:
    """Run the engine with each number of workers, and at last with workers that do not even sleep.

    Args:
        share: radiographs for each worker.
        most: radiographs for those that do not sleep.

    Returns:
        What `measure_engine` returns.
    """
    found = [measure_engine(actors, actors * share, PRETENDED) for actors in ACTORS]
    return [*found, measure_engine(_BUSY_ACTORS, most, 0)]


def measure_engine(actors: int, count: int, seconds: float) -> dict:
    """Run the engine once, in a process of its own.

    Returns:
        {"actors", "radiographs", "pretended": seconds, "rate": radiographs a second of all workers together, "busy":
        share of the time that they slept, "overhead": seconds a radiograph that they did not sleep, "cpu": {process:
        seconds a radiograph}}
    """
    print(f"engine: {actors} workers, {count} radiographs of {seconds} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="lungseg-engine-") as name:
        write_inputs(Path(name) / "in", 64, count)
        return in_a_process(_run, name, actors, count, seconds)


def sleeping(seconds: float, stamps: str, labels: bytes) -> type[Segmenter]:
    """Return a class of workers.

    Args:
        seconds: that a radiograph takes.
        stamps: an existing folder, to which each worker writes when its batches began and ended.
        labels: the label map of every radiograph.
    """

    class Sleeping(Segmenter):
        def _load(self) -> None:
            """Need no network."""

        def __call__(self, batch: Any) -> dict[str, list[bytes]]:
            began = time.time()
            answer = super().__call__(batch)
            with open(os.path.join(stamps, str(os.getpid())), "a", encoding="utf-8") as file:
                print(json.dumps([began, time.time()]), file=file)
            return answer

        def _make(self, inputs: Sequence[Input], turn: Turn, batch: str) -> list[tuple[Ending, Result | None]]:
            time.sleep(seconds * len(inputs))
            settings = self._work.settings
            made = (
                Result(key_of(stem), made_up(one.file, stem), labels, "0" * 64, settings)
                for one, stem in zip(inputs, turn.stems, strict=True)
            )
            return [(result.ending, result) for result in made]

    return Sleeping


def made_up(file: str, name: str) -> Row:
    """Return a row in which every number has a value."""
    numbers = {column: 123456 for column in Row.__dataclass_fields__ if column not in _TEXTS}
    return Row(file=file, status="ok", name=name, **numbers)


def _run(folder: str, actors: int, count: int, seconds: float) -> dict:
    from lungseg.data import phantom
    from lungseg.inference.ray import run
    from lungseg.io import write_png

    write_png(label_map := Path(folder, "labels.png"), phantom(0, (_LABEL_SIDE, _LABEL_SIDE))[1])
    stamps = Path(folder, "stamps")
    stamps.mkdir()
    looks: list[dict[str, float]] = []

    def on_result(done: int, total: int, ending: object) -> None:
        # When the first batch has come, everything has been started.
        if done in (1, total):
            looks.append(_cpu_times())

    silence_libraries()
    with patch.object(run, "Segmenter", sleeping(seconds, str(stamps), label_map.read_bytes())):
        run.predict_on_ray([f"{folder}/in"], f"{folder}/out", workers=actors, on_result=on_result)
    windows = [[json.loads(line) for line in file.read_text().splitlines()] for file in stamps.iterdir()]
    assert len(windows) == actors, f"{len(windows)} of {actors} workers had work"
    batch = count / sum(map(len, windows))
    lasted = [window[-1][1] - window[0][0] for window in windows]
    done = [batch * len(window) for window in windows]
    before, after = looks
    return {
        "actors": actors,
        "radiographs": count,
        "pretended": seconds,
        "rate": sum(number / last for number, last in zip(done, lasted, strict=True)),
        "busy": seconds * count / sum(lasted),
        "overhead": (sum(lasted) - seconds * count) / count,
        "cpu": {role: (after[role] - before[role]) / (count - batch) for role in after},
    }


def _cpu_times() -> dict[str, float]:
    """Return the seconds of CPU time of this process, the ledger, all workers, and Ray's other processes."""
    import psutil

    driver = psutil.Process()
    found = dict.fromkeys(("driver", *_ROLES, "ray"), 0.0)
    for process in [driver, *driver.children(recursive=True)]:
        try:
            title, times = " ".join(process.cmdline()), process.cpu_times()
        except psutil.Error:
            continue
        roles = ("driver",) if process == driver else [role for role, name in _ROLES.items() if title.startswith(name)]
        found[roles[0] if roles else "ray"] += times.user + times.system
    return found


def tables(found: list[dict] | None) -> dict[str, str]:
    """Return the table of the numbers that were kept, by its name."""
    if not found:
        return {"ray-growth": NOT_MEASURED}
    header = ["Workers", "A radiograph pretends to take", "Radiographs per second", "Share of the possible"]
    header += ["CPU of the driver per radiograph", "of the ledger", "of Ray's own processes", "of the workers"]
    rows = [
        [
            str(one["actors"]),
            f"{one['pretended'] * 1000:.0f} ms",
            f"{one['rate']:.0f}",
            f"{one['busy']:.0%}" if one["pretended"] else "",
            *(f"{one['cpu'][role] * 1000:.2f} ms" for role in ("driver", "ledger", "ray", "workers")),
        ]
        for one in found
    ]
    last = found[-1]
    central = {"the driver": last["cpu"]["driver"], "the ledger": last["cpu"]["ledger"]}
    name = max(central, key=central.__getitem__)
    limit = _REAL_SECONDS / central[name]
    note = (
        f"Computed from the last line: {name} takes {central[name] * 1000:.2f} ms of one core for a radiograph, and "
        f"would be busy all the time with about {limit:,.0f} workers that need {_REAL_SECONDS * 1000:.0f} ms for each."
    )
    return {"ray-growth": f"{markdown_table(header, rows, text_columns=())}\n\n{note}"}
