# SPDX-License-Identifier: Apache-2.0
"""A wheel built from the tree carries the bundle and the workflows, and segments from any folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lungseg.data import phantom
from lungseg.images import write_png

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("lungseg", "bundle", "workflows", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def call(*arguments: object, **options) -> str:
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, for a build leaves files in the tree, and takes those that an earlier one left."""
    tree, dist = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(ROOT / name, tree)
    call("-m", "build", "--wheel", "--no-isolation", "--outdir", dist, tree)
    (built,) = dist.glob("*.whl")
    return built


def test_the_wheel_holds_the_bundle_and_the_workflows(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder, parts in (
        ("bundle", ("LICENSE", "configs/*", "models/*", "docs/*")),
        ("workflows", ("**/*.py", "deploy/*.*", "label/page/**/*", "label/constraints.txt")),
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


def test_the_installed_wheel_segments_from_any_folder(wheel, tmp_path):
    """Installed beside the dependencies that are here; `-P` and the path keep the source tree out."""
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    call("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, wheel)
    assert (site / "bin" / "lungseg").is_file() or sys.platform == "win32"
    elsewhere.mkdir()
    image, _ = phantom(3, (120, 90))
    write_png(elsewhere / "x.png", image)
    code = (
        "import sys, lungseg, lungseg.cli, lungseg.locate; print(lungseg.__file__, lungseg.locate.bundle_root()); "
        "sys.exit(lungseg.cli.main(['predict', 'x.png', '-o', 'out']))"
    )
    printed = call("-P", "-c", code, cwd=elsewhere, env=os.environ | {"PYTHONPATH": str(site)})
    module, bundle = printed.splitlines()[0].split(" ")
    assert module == str(site / "lungseg" / "__init__.py")
    assert bundle == str(site / "lungseg" / "bundle")
    for kind in ("masks", "labels", "overlays"):
        assert (elsewhere / "out" / kind / "x.png").is_file()
    assert (elsewhere / "out" / "report.csv").is_file()
