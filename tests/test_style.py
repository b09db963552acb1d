# SPDX-License-Identifier: Apache-2.0
"""The tree is linted and formatted, carries its licence in every module, and no file that would weigh it down."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOT_OURS = {".git", ".venv", ".venv-label", "build", "dist", "runs", "lungseg-demo"}
# Tests beside this one write them.
NOT_OURS |= {"__pycache__", ".pytest_cache", ".hypothesis"}
LARGEST = 20 * 1024**2


def files(ending: str = "") -> list[Path]:
    """The tree's own files, without what is built or downloaded into it, which may vanish while other tests run."""
    found = []
    for parent, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        found += [Path(parent, name) for name in names if name.endswith(ending)]
    return [path for path in found if path.is_file()]


@pytest.mark.parametrize("arguments", [("check",), ("format", "--check")], ids=" ".join)
def test_ruff(arguments):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_names_its_licence():
    modules = files(".py")
    assert len(modules) > 50
    line = "# SPDX-License-Identifier: Apache-2.0"
    assert not [path for path in modules if path.read_text(encoding="utf-8").splitlines()[:1] != [line]]


def test_no_file_is_large():
    assert not [path for path in files() if path.stat().st_size > LARGEST]
