# SPDX-License-Identifier: Apache-2.0
"""`torchrun … -m lungseg predict`: two processes share the inputs and leave one report."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.orthanc_node import free_port
from lungseg.inference.devices import choose_device
from lungseg.utils.distributed import Processes, interleave

pytestmark = pytest.mark.slow

LAUNCH = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--master_addr=127.0.0.1")


def launch(*arguments: object) -> subprocess.CompletedProcess:
    call = [sys.executable, *LAUNCH, f"--master_port={free_port()}", "-m", "lungseg", "predict", *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.mark.parametrize(("count", "size"), [(7, 2), (2, 3), (0, 2), (6, 3)])
def test_every_item_is_in_one_part(count, size):
    items = [f"item {number}" for number in range(count)]
    parts = [Processes(rank, size).share(items) for rank in range(size)]
    assert sorted(item for part in parts for item in part) == items
    assert interleave(parts) == items


def test_two_processes_do_each_file_once_and_report_on_all(dataset, run_folder, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for path in sorted((dataset / "CXR_png").iterdir())[:5]:
        shutil.copy(path, source)
    done = launch(source, "-o", out, "--weights", run_folder)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in source.iterdir())
    rows = list(csv.DictReader((out / "report.csv").open(newline="", encoding="utf-8")))
    assert [Path(row["file"]).name for row in rows] == names
    assert {row["status"] for row in rows} <= {"ok", "flagged"}
    manifest = json.loads((out / "report.json").read_text())
    assert [Path(file["file"]).name for file in manifest["files"]] == names
    for kind in ("masks", "labels", "overlays"):
        assert sorted(path.name for path in (out / kind).iterdir()) == names
    # The records say which process did what.
    records = [out / name for name in ("records.jsonl", "records.1.jsonl")]
    parts = [[json.loads(line)["name"] for line in record.open()] for record in records]
    stems = [Path(name).stem for name in names]
    assert [sorted(part) for part in parts] == [stems[::2], stems[1::2]]
    # One of the two speaks for both.
    (line,) = (line for line in done.stdout.splitlines() if "see " in line)
    assert line.endswith(f"see {out / 'report.csv'}")

    # Again, with a file that cannot be read: the rest is reused, whichever process made it.
    (source / "a.png").write_bytes(b"")
    done = launch(source, "-o", out, "--weights", run_folder)
    assert done.returncode == 1
    assert "a.png: the file is empty" in done.stderr
    rows = list(csv.DictReader((out / "report.csv").open(newline="", encoding="utf-8")))
    assert [row["status"] == "failed" for row in rows] == [True] + 5 * [False]
    lines = [json.loads(line) for record in records for line in record.open()]
    assert sorted(line["event"] for line in lines) == ["failure"] + 5 * ["result"]


def test_each_process_takes_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for rank, index in ((None, 0), ("0", 0), ("1", 1), ("2", 0)):
        if rank:
            monkeypatch.setenv("LOCAL_RANK", rank)
        assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", index)
    assert choose_device("cuda:0") == torch.device("cuda", 0)
    assert choose_device("cpu") == torch.device("cpu")
