# SPDX-License-Identifier: Apache-2.0
"""The tree is linted and formatted, carries its licence in every module, and no file that would weigh it down."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOT_OURS = {".git", ".venv", ".venv-label", "build", "dist", "runs", "lungseg-demo"}
LARGEST = 20 * 1024**2


def files(pattern: str = "*") -> list[Path]:
    """The tree's own files, without what is built or downloaded into it."""
    found = (path for path in ROOT.rglob(pattern) if path.is_file())
    return [path for path in found if NOT_OURS.isdisjoint(path.relative_to(ROOT).parts)]


@pytest.mark.parametrize("arguments", [("check",), ("format", "--check")], ids=" ".join)
def test_ruff(arguments):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_names_its_licence():
    modules = files("*.py")
    assert len(modules) > 50
    line = "# SPDX-License-Identifier: Apache-2.0"
    assert not [path for path in modules if path.read_text(encoding="utf-8").splitlines()[:1] != [line]]


def test_no_file_is_large():
    assert not [path for path in files() if path.stat().st_size > LARGEST]
