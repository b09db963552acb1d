# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of Ray counts and computes."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from benchmarks import ray_engine, ray_kills, ray_scaling
from lungseg.inference.ray.results import Results
from lungseg.inference.ray.rows import Result
from lungseg.inference.ray.storage import Storage

NOTHING_WRONG = {"lost": 0, "doubled": 0, "different": 0}


@pytest.fixture
def runs(tmp_path):
    """Two runs with the same four radiographs, and a function that writes the report of the one with Ray."""
    pytest.importorskip("pyarrow")
    rows = {name: ray_engine.made_up(f"in/{name}.png", name) for name in "abcd"}
    for run in ("plain", "ray"):
        (tmp_path / run / "labels").mkdir(parents=True)

    def report(run: str, names: str = "abcd") -> None:
        # Seconds never are the same.
        lines = [asdict(rows[name]) | {"doubts": [], "notes": [], "seconds": hash(run)} for name in names]
        (tmp_path / run / "report.json").write_text(json.dumps({"files": lines}))

    for name in rows:
        (tmp_path / "plain" / "labels" / f"{name}.png").write_bytes(name.encode())
    report("plain")
    report("ray")
    results = Results(Storage(str(tmp_path / "ray")))
    made = {name: Result(name, row, name.encode()) for name, row in rows.items()}
    results.write("rows/1.parquet", [made["a"], made["b"]])
    results.write("rows/2.parquet", [made["c"], made["d"]])
    return tmp_path, results, made, report


def test_the_same_rows_are_found_the_same(runs):
    assert ray_kills.compare(runs[0]) == NOTHING_WRONG


def test_rows_that_are_lost_doubled_or_different_are_counted(runs):
    folder, results, made, report = runs
    results.write("rows/2.parquet", [made["c"]])
    assert ray_kills.compare(folder) == NOTHING_WRONG | {"lost": 1}
    results.write("rows/2.parquet", [made["c"], made["d"], made["a"]])
    assert ray_kills.compare(folder) == NOTHING_WRONG | {"doubled": 1}
    results.write("rows/2.parquet", [made["c"], Result("d", made["d"].row, b"another label map")])
    assert ray_kills.compare(folder) == NOTHING_WRONG | {"different": 1}
    results.write("rows/2.parquet", [made["c"], Result("d", made["a"].row, b"d")])
    assert ray_kills.compare(folder) == NOTHING_WRONG | {"different": 1}
    results.write("rows/2.parquet", [made["c"], made["d"]])
    report("ray", "abc")
    assert ray_kills.compare(folder) == NOTHING_WRONG | {"lost": 1}


def test_the_number_of_workers_that_the_driver_can_feed_is_computed():
    cpu = {"driver": 0.0001, "ledger": 0.00005, "ray": 0.001, "workers": 0.001}
    one = {"actors": 8, "radiographs": 9, "pretended": 0.05, "rate": 150.0, "busy": 0.94, "overhead": 0.003, "cpu": cpu}
    shown = ray_scaling.tables({"growth": {"machine": "a machine", "found": [one]}})["ray-growth"]
    assert "| 8 | 50 ms | 150 | 94% | 0.10 ms | 0.05 ms | 1.00 ms | 1.00 ms |" in shown
    assert "about 1,000 workers that need 100 ms" in shown
    assert shown.endswith("a machine.")


@pytest.mark.slow
def test_the_engine_is_measured_without_the_network():
    pytest.importorskip("ray")
    found = ray_engine.measure_engine(1, 8, 0.001)
    assert (found["actors"], found["radiographs"]) == (1, 8)
    assert 0 < found["busy"] < 1
    assert min(found["rate"], found["overhead"]) > 0
    assert set(found["cpu"]) == {"driver", "ledger", "workers", "ray"}
