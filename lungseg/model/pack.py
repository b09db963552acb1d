# SPDX-License-Identifier: Apache-2.0
"""Write the bundle as one zip that works without lungseg installed: `lungseg pack`."""

from __future__ import annotations

import ast
import json
import re
import zipfile
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from lungseg.model.paths import BUNDLE_NAME, bundle_root
from lungseg.utils.files import atomic_path

_PARTS = ("LICENSE", "configs/*", "models/*.pt", "docs/*")
# Files that modules read: frozen splits, the style of the report.
_DATA_SUFFIXES = (".json", ".css", ".js", ".html")
_NAME = re.compile(r"\blungseg(?:\.\w+)+")


def pack(output: str | PathLike[str]) -> Path:
    """Write the zip to `output` and return its path.

    Unzipped it is a folder `lung_cxr_segmentation` from which `python -m monai.bundle run` works: Python finds the
    package in the folder that it is started from. Only the modules that the configs need are packed.
    """
    output, root, package = Path(output), bundle_root(), Path(__file__).resolve().parents[1]
    files = {file: file.relative_to(root) for part in _PARTS for file in sorted(root.glob(part)) if file.is_file()}
    for file in needed_files(root / "configs", package):
        files[file] = Path("lungseg") / file.relative_to(package)
    with atomic_path(output) as path, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, name in files.items():
            archive.write(file, Path(BUNDLE_NAME) / name)
    return output


def needed_files(configs: Path, package: Path) -> list[Path]:
    """Return the files of `package` (lungseg) that the configs import, directly or indirectly, sorted.

    Args:
        configs: folder of the JSON configs.
        package: folder of lungseg.
    """
    names = {name for file in sorted(configs.glob("*.json")) for name in _names_in_config(file)}
    found: set[Path] = set()
    waiting = [*sorted(names), "lungseg.version"]
    while waiting:
        for file in _modules(waiting.pop(), package):
            if file not in found:
                found.add(file)
                # The public API imports the whole library when it is used; no config uses it.
                waiting.extend(_imports(file) if file != package / "__init__.py" else ())
    folders = {file.parent for file in found if file.name != "__init__.py"} - {package}
    data = {file for folder in folders for file in folder.rglob("*") if file.suffix in _DATA_SUFFIXES}
    return sorted(found | data)


def _names_in_config(file: Path) -> Iterator[str]:
    yield from _NAME.findall(json.dumps(json.loads(file.read_text(encoding="utf-8"))))


def _modules(name: str, package: Path) -> Iterator[Path]:
    """Yield the files that importing a dotted name runs; a package's lazy names lead to the module that has them."""
    folder, (_, *parts) = package, name.split(".")
    yield package / "__init__.py"
    for part in parts:
        if (folder / part / "__init__.py").is_file():
            folder = folder / part
            yield folder / "__init__.py"
        elif (folder / f"{part}.py").is_file():
            yield folder / f"{part}.py"
            return
        elif module := _lazy_exports(folder / "__init__.py").get(part):
            yield folder / f"{module}.py"
            return


def _lazy_exports(file: Path) -> dict[str, str]:
    """Return the names that a package imports lazily -> their modules."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "lazy_exports":
            exports: dict[str, str] = ast.literal_eval(node.args[1])
            return exports
    return {}


def _imports(file: Path) -> Iterator[str]:
    """Yield the dotted names in lungseg that a module imports, at its top or within functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("lungseg"))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lungseg":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.fullmatch(node.value):
            # A module that runs as a process of its own, by its name.
            yield node.value
