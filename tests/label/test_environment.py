# SPDX-License-Identifier: Apache-2.0
"""MONAI Label's environment: its folder, its building, and the library in it."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import pytest
from label_support import ROOT, require_environment

from lungseg.utils.errors import LungsegError, UsageError
from lungseg.workflows.label.setup import environment

# Tests of the rooms that the label app builds on.
CORE = ("tests/io", "tests/metrics", "tests/transforms", "tests/data/test_labels.py", "tests/data/test_splits.py")
# These write files as pydicom 3 does, or test whole predictions.
NOT_CORE = ("--ignore=tests/io/test_discovery.py", "--ignore=tests/transforms/test_orientation.py")


def test_an_environment_that_cannot_be_built_does_not_look_complete(tmp_path, monkeypatch):
    (tmp_path / "none.txt").touch()
    (tmp_path / "constraints.txt").write_text("torch==0.0.0\n")
    for name, file in {"CONSTRAINTS": "constraints", "_REQUIREMENTS": "none", "_INSTALLER": "none"}.items():
        monkeypatch.setattr(environment, name, tmp_path / f"{file}.txt")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(LungsegError, match="PyTorch") as failed:
        environment.build(tmp_path / "made")
    assert failed.value.code == "environment-not-built"
    assert not environment.is_current(tmp_path / "made")


def test_a_folder_with_something_else_is_not_replaced(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(UsageError) as refused:
        environment.build(tmp_path)
    assert refused.value.code == "not-an-environment"
    assert (tmp_path / "thesis.txt").exists()


def test_an_installed_package_has_its_environment_in_the_users_data(tmp_path, monkeypatch):
    monkeypatch.delenv(environment.VARIABLE, raising=False)
    monkeypatch.setattr(environment, "_source_tree", lambda: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert environment.environment_folder() == tmp_path / ".local" / "share" / "lungseg" / "label-environment"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert environment.environment_folder() == tmp_path / "data" / "lungseg" / "label-environment"


def test_the_core_works_with_numpy_1_and_pydicom_2():
    python = require_environment()
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CORE, *NOT_CORE],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.safety("dicomdir")
def test_nothing_uses_the_file_sets_of_pydicom():
    """The environment cannot have pydicom 3.0.2, which repairs paths that leave a file set (DICOMDIR)."""
    site = next(require_environment().parents[1].glob("lib/python*/site-packages"))
    packages = [ROOT / "lungseg", ROOT / "workflows" / "label"]
    packages += [site / name for name in ("monailabel", "dicomweb_client", "pydicom_seg", "pynetdicom")]
    files = [file for package in packages for file in package.rglob("*.py") if "apps" not in file.parts]
    assert len(files) > 200
    assert not {str(file) for file in files if _imports_file_sets(file)}


@pytest.mark.safety("dicomdir")
def test_a_dicomdir_is_refused_as_a_radiograph(tmp_path):
    python = require_environment()
    site = next(python.parents[1].glob("lib/python*/site-packages"))
    shutil.copy(site / "pydicom" / "data" / "test_files" / "dicomdirtests" / "DICOMDIR", tmp_path / "one.dcm")
    done = subprocess.run(
        [python, "-c", "import sys; from lungseg.io import read_radiograph; read_radiograph(sys.argv[1])", "one.dcm"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "LungsegError: one.dcm" in done.stderr


def _imports_file_sets(file: Path) -> bool:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names = [name.name for name in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        imported = {*modules, *names, *(f"{module}.{name}" for module in modules for name in names)}
        if imported & {"pydicom.fileset", "pydicom.dicomdir", "FileSet", "DicomDir"}:
            return True
    return False
