# SPDX-License-Identifier: Apache-2.0
"""The lists of everything that `make demo` and the label environment install, with the hashes of its files."""

from __future__ import annotations

import re
import zipfile
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lungseg.utils.errors import LungsegError
from lungseg.workflows.label.setup import environment

ROOT = Path(__file__).resolve().parents[1]
LABEL = ROOT / "workflows" / "label" / "setup"
pytestmark = pytest.mark.safety("supply-chain")


def pins(file: Path) -> dict[str, str]:
    """Return the version of each package that a list of constraints or requirements pins."""
    text = re.sub(r"\\\n", " ", file.read_text("utf-8"))
    lines = [line.split("--hash")[0].strip() for line in text.splitlines() if line[:1] not in ("", "#")]
    found = [Requirement(line) for line in lines]
    versions = {canonicalize_name(one.name): str(one.specifier) for one in found}
    assert all(version.startswith("==") and "*" not in version for version in versions.values())
    return {name: version.removeprefix("==") for name, version in versions.items()}


def unhashed(file: Path) -> list[str]:
    blocks = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", file.read_text("utf-8"), flags=re.MULTILINE))
    return [block for block in blocks if block.strip() and not re.search(r"--hash=sha256:[0-9a-f]{64}", block)]


@pytest.mark.parametrize(
    "file", [ROOT / "requirements.txt", LABEL / "requirements.txt", LABEL / "installer.txt"], ids=str
)
def test_each_package_has_hashes(file):
    assert pins(file)
    assert not unhashed(file)
    assert not {"torch", "lungseg"} & set(pins(file))


def test_the_versions_are_those_of_the_constraints():
    known = pins(ROOT / "constraints.txt")
    listed = {name: version for name, version in pins(ROOT / "requirements.txt").items() if name != "pip"}
    assert listed == {name: known.get(name) for name in listed}
    known = pins(LABEL / "constraints.txt")
    assert pins(LABEL / "requirements.txt") == {name: version for name, version in known.items() if name != "torch"}
    assert pins(LABEL / "installer.txt")["setuptools"] == known["setuptools"]


def test_the_list_of_the_library_is_complete():
    """It is installed without resolving; PyTorch's build brings packages of its own."""
    listed, needed = set(pins(ROOT / "requirements.txt")), set()
    waiting = [("lungseg", extra) for extra in ("", "demo", "dicom", "onnx")]
    while waiting:
        name, extra = waiting.pop()
        try:
            wanted = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:  # of another system
            continue
        for one in wanted:
            package = canonicalize_name(one.name)
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                more = {(package, ""), *((package, part) for part in one.extras)} - needed
                needed |= more
                waiting += [] if package == "torch" else more
    assert {name for name, _ in needed} - listed == {"torch"}


def test_a_file_with_another_hash_is_not_installed(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "thing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("thing.py", "")
        wheel.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        wheel.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("thing-1.0.dist-info/RECORD", "")
    (tmp_path / "list.txt").write_text(f"thing==1.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(environment, "_INSTALLER", tmp_path / "list.txt")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(LungsegError) as failed:
        environment.build(tmp_path / "made")
    assert failed.value.code == "environment-not-built"
    assert not list((tmp_path / "made").rglob("thing.py"))
