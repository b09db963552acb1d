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
