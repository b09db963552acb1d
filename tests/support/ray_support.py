# SPDX-License-Identifier: Apache-2.0
"""A cluster of Ray for tests, and what a run on it left."""

from __future__ import annotations

import csv
import io
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

# Before Ray is imported: it keeps to the loopback address, serves this process alone, and reports to nobody.
os.environ |= {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True)
class Started:
    """A running cluster: its address, and the folder of its files, which its processes name."""

    address: str
    folder: str

    def segmenters(self) -> list[psutil.Process]:
        """Return the processes that segment."""
        return segmenters(self.folder)


def segmenters(folder: str) -> list[psutil.Process]:
    """Return the processes that segment, of the cluster that has its files in this folder."""
    raylets = [one for one in processes_of(folder) if one.name() == "raylet"]
    found = []
    for raylet in raylets:
        for child in raylet.children():
            # It may have just ended.
            with suppress(psutil.Error):
                if "Segmenter" in " ".join(child.cmdline()):
                    found.append(child)
    return found


def processes_of(folder: str | Path) -> list[psutil.Process]:
    """Return the processes whose command line names a file in this folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(folder) in " ".join(process.cmdline()):
                found.append(process)
    return found


def listening(process: psutil.Process) -> set[str]:
    """Return the addresses on which a process listens; none if it has ended."""
    try:
        connections = process.net_connections("tcp")
    except psutil.Error:
        return set()
    return {one.laddr.ip.removeprefix("::ffff:") for one in connections if one.status == psutil.CONN_LISTEN}


@contextmanager
def cluster(processors: int, environment: Mapping[str, str] | None = None) -> Iterator[Started]:
    """Start a cluster of one machine with so many processors, as `docs/scale.md` says."""
    ray = Path(sys.executable).with_name("ray")
    # Clusters that begin at the same time would give the same ports to their processes.
    own_ports = ["--min-worker-port=0", "--max-worker-port=0"]
    limits = [f"--num-cpus={processors}", "--num-gpus=0", "--object-store-memory=100000000"]
    # Sockets lie in this folder: its name must be short.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        own = ["--node-ip-address=127.0.0.1", "--port=0", f"--temp-dir={folder}", "--include-dashboard=false"]
        started = subprocess.Popen(
            [ray, "start", "--head", "--block", *own, *own_ports, *limits],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        try:
            yield Started(_address(Path(folder, "ray_current_cluster"), started), folder)
        finally:
            started.terminate()
            started.communicate(timeout=300)


def _address(file: Path, started: subprocess.Popen[str]) -> str:
    while not file.exists() or not file.read_text():
        assert started.poll() is None, started.communicate()[0]
        time.sleep(0.1)
    return file.read_text().strip()


def rows_of(target: Path) -> dict[str, dict[str, Any]]:
    """Return key -> line of all Parquet files in a folder; each key is there once."""
    import pyarrow.parquet as pq

    lines = [line for file in sorted((target / "rows").iterdir()) for line in pq.read_table(file).to_pylist()]
    found = {line["key"]: line for line in lines}
    assert len(found) == len(lines)
    return found


def report_of(text: str) -> dict[str, Mapping[str, str]]:
    """Return file name -> line of a report.csv, without what differs from run to run or between sources."""
    lines = csv.DictReader(io.StringIO(text))
    same = {"file": "", "seconds": ""}
    return {
        Path(line["file"]).name: line | same | {"reason": line["reason"].replace(line["file"], "")} for line in lines
    }
