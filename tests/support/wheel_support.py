# SPDX-License-Identifier: Apache-2.0
"""Building a wheel from the tree, and installing it beside the dependencies that are here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("lungseg", "bundle", "workflows", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def call(*arguments: object, **options) -> str:
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_wheel(tree: Path, dist: Path) -> Path:
    """Build from a copy in `tree`, for a build leaves files there and takes those that an earlier one left."""
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(ROOT / name, tree)
    call("-m", "build", "--wheel", "--no-isolation", "--outdir", dist, tree)
    (built,) = dist.glob("*.whl")
    return built
