# SPDX-License-Identifier: Apache-2.0
"""The memory of this process is the machine's, or the share that a control group gives it."""

from __future__ import annotations

import pytest

from lungseg.utils import memory


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/job/step\n", {"job/step/memory.max": "1000\n"}, 1000),
        ("0::/\n", {"memory.max": "2000\n"}, 2000),
        ("4:cpu,memory:/job\n", {"memory/job/memory.limit_in_bytes": "3000\n"}, 3000),
        ("4:memory:/elsewhere\n", {"memory/memory.limit_in_bytes": "4000\n"}, 4000),
    ],
)
def test_the_share_of_a_control_group(tmp_path, monkeypatch, own, files, expected):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "cgroup").write_text(own)
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "cgroup")
    assert memory.machine_memory() == expected


def test_no_limit_is_the_whole_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "missing")
    whole = memory.machine_memory()
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.machine_memory() == whole
    assert whole is None or whole > 2**28


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        # Copies of files that the group holds can be dropped.
        (
            "0::/job\n",
            {"job/memory.max": "9000", "job/memory.current": "5000", "job/memory.stat": "inactive_file 700\n"},
            4700,
        ),
        (
            "4:memory:/job\n",
            {
                "memory/job/memory.limit_in_bytes": "9000",
                "memory/job/memory.usage_in_bytes": "5000",
                "memory/job/memory.stat": "inactive_file 1\ntotal_inactive_file 200\ntotal_active_file 300\n",
            },
            4500,
        ),
        ("0::/\n", {"memory.max": "max", "memory.current": "5000", "memory.stat": ""}, 60 * 1024),
        ("0::/\n", {}, 60 * 1024),
    ],
)
def test_the_free_memory_of_a_control_group_or_of_the_machine(tmp_path, monkeypatch, own, files, expected):
    for name, content in files.items() | {("cgroup", own), ("meminfo", "MemTotal: 90 kB\nMemAvailable: 60 kB\n")}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_MEMORY", tmp_path / "meminfo")
    assert memory.free_memory() == expected


def test_half_of_the_machine_counts_where_the_system_does_not_say_how_much_is_free(tmp_path, monkeypatch):
    for name in ("_GROUPS", "_OWN_GROUPS", "_MEMORY"):
        monkeypatch.setattr(memory, name, tmp_path / "missing")
    whole = memory.machine_memory()
    assert memory.free_memory() == (None if whole is None else whole // 2)
