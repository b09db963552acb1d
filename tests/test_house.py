# SPDX-License-Identifier: Apache-2.0
"""The house: who may import whom, no circles, types; seen as the wheel unpacks it, with bundle and workflows inside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from wheel_support import ROOT

# A stranger must be able to read the tree at a glance.
MOST_FILES_AT_THE_TOP = 3


def tool(*command: object, site: Path, **variables: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(site)} | variables
    return subprocess.run(
        [str(part) for part in command], cwd=site.parent, env=environment, capture_output=True, text=True
    )


def test_packages_import_downwards_and_in_no_circle(site):
    program = Path(sys.executable).with_name("lint-imports")
    done = tool(program, "--no-cache", ROOT / "setup.cfg", site=site)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_types(site, tmp_path):
    command = (sys.executable, "-m", "mypy", "--cache-dir", tmp_path, "--config-file", ROOT / "setup.cfg")
    done = tool(*command, "-p", "lungseg", site=site, MYPYPATH=str(site))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr


def test_the_top_of_the_package_is_short():
    assert len(list((ROOT / "lungseg").glob("*.py"))) <= MOST_FILES_AT_THE_TOP
