# SPDX-License-Identifier: Apache-2.0
"""`lungseg pack`: the bundle as one zip that works by itself, with the package inside."""

from __future__ import annotations

import zipfile
from os import PathLike
from pathlib import Path

from lungseg.model.paths import BUNDLE_NAME, bundle_root
from lungseg.utils.files import atomic_path

_PARTS = ("LICENSE", "configs/*", "models/*.pt", "docs/*")


def pack(output: str | PathLike) -> Path:
    """Write the zip to `output` and return its path.

    Unzipped it is a folder `lung_cxr_segmentation` from which `python -m monai.bundle run` works without lungseg
    being installed, for Python finds the package in the folder that it is started from.
    """
    output, root, package = Path(output), bundle_root(), Path(__file__).resolve().parents[1]
    files = {file: file.relative_to(root) for part in _PARTS for file in sorted(root.glob(part)) if file.is_file()}
    for file in sorted(package.rglob("*")):
        relative = file.relative_to(package)
        if file.suffix in (".py", ".json", ".css", ".js") and relative.parts[0] not in ("bundle", "workflows"):
            files[file] = Path("lungseg") / relative
    with atomic_path(output) as path, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, name in files.items():
            archive.write(file, Path(BUNDLE_NAME) / name)
    return output
