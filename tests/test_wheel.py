# SPDX-License-Identifier: Apache-2.0
"""A wheel built from the tree carries the bundle and the workflows, and segments from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from wheel_support import ROOT, call

import lungseg
from lungseg.data import phantom
from lungseg.io import write_png


def test_the_wheel_holds_the_bundle_and_the_workflows(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder, parts in (
        ("bundle", ("LICENSE", "configs/*", "models/*", "docs/*")),
        ("workflows", ("**/*.py", "deploy/*.*", "label/page/**/*", "label/setup/*.txt")),
    ):
        sources = [path for part in parts for path in (ROOT / folder).glob(part) if path.is_file()]
        wanted = {f"lungseg/{folder}/{path.relative_to(ROOT / folder).as_posix()}" for path in sources}
        assert wanted
        assert not wanted - names
    for name in ("configs/inference.json", "configs/metadata.json", "models/model.pt"):
        assert f"lungseg/bundle/{name}" in names
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "lungseg").rglob("*.py")}
    assert not modules - names
    assert any(name.startswith("lungseg/data/splits/") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "bundle/", "workflows/"))]


@pytest.mark.slow
def test_the_installed_wheel_segments_from_any_folder(site, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    assert (site / "bin" / "lungseg").is_file() or sys.platform == "win32"
    elsewhere.mkdir()
    image, _ = phantom(3, (120, 90))
    write_png(elsewhere / "x.png", image)
    code = (
        "import sys, lungseg, lungseg.cli.main, lungseg.model.paths; "
        "print(lungseg.__file__, lungseg.model.paths.bundle_root()); "
        "sys.exit(lungseg.cli.main.main(['predict', 'x.png', '-o', 'out']))"
    )
    printed = call("-P", "-c", code, cwd=elsewhere, env=os.environ | {"PYTHONPATH": str(site)})
    module, bundle = printed.splitlines()[0].split(" ")
    assert module == str(site / "lungseg" / "__init__.py")
    assert bundle == str(site / "lungseg" / "bundle")
    for kind in ("masks", "labels", "overlays"):
        assert (elsewhere / "out" / kind / "x.png").is_file()
    assert (elsewhere / "out" / "report.csv").is_file()


def test_the_installed_package_is_put_into_the_environment_of_monai_label(site, tmp_path):
    """Whole, and with the file that states its version: a training notes it."""
    environment = tmp_path / "environment"
    call("-m", "venv", "--without-pip", environment)
    code = "import sys, lungseg.workflows.label.setup.environment as e; e.put_package_into(e.Path(sys.argv[1]))"
    paths = os.environ | {"PYTHONPATH": str(site)}
    call("-P", "-c", code, environment, cwd=tmp_path, env=paths)
    code = "import lungseg; from importlib.metadata import version; print(version('lungseg'), lungseg.__file__)"
    python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stderr == ""
    version, file = done.stdout.split()
    assert version == lungseg.__version__
    installed = Path(file).parent
    assert environment in installed.parents
    for path in ("bundle/models/model.pt", "workflows/label/page/index.html"):
        assert (installed / path).read_bytes() == (site / "lungseg" / path).read_bytes()
