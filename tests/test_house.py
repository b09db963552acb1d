# SPDX-License-Identifier: Apache-2.0
"""The house: who may import whom, no circles, types; seen as the wheel unpacks it, with bundle and workflows inside."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from wheel_support import ROOT

# A stranger must be able to read the tree at a glance.
MOST_FILES_AT_THE_TOP = 3
# Programs of their own, which another program reads.
PRINT_THEIR_RESULT = {"workflows/label/setup/environment.py", "workflows/label/setup/environment_report.py"}


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


def own_modules() -> list[Path]:
    return sorted(path for folder in ("lungseg", "workflows") for path in (ROOT / folder).rglob("*.py"))


def calls(path: Path) -> Iterator[tuple[ast.Call, str]]:
    """Yield each call in a module with the last part of the called name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func).rpartition(".")[2]


def test_every_error_has_a_code():
    without = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in own_modules()
        for call, name in calls(path)
        if name in ("LungsegError", "UsageError") and "code" not in {keyword.arg for keyword in call.keywords}
    ]
    assert not without


def test_codes_are_short_names():
    codes = {
        keyword.value.value
        for path in own_modules()
        for call, _ in calls(path)
        for keyword in call.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str)
    }
    assert len(codes) > 50
    assert not [code for code in codes if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)]


def test_only_the_command_prints():
    printing = {
        str(path.relative_to(ROOT))
        for path in own_modules()
        for _, name in calls(path)
        if name == "print" and "cli" not in path.relative_to(ROOT).parts
    }
    assert printing <= PRINT_THEIR_RESULT
