# SPDX-License-Identifier: Apache-2.0
"""Print the packages of MONAI Label's environment as JSON; `lungseg label check` runs this file there."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

# Package -> the module to import.
_NEEDED = {
    "torch": "torch",
    "monai": "monai",
    "numpy": "numpy",
    "pydicom": "pydicom",
    "pytorch-ignite": "ignite",
    "scikit-image": "skimage",
    "monailabel": "monailabel.app",
    "lungseg": "lungseg.workflows.label.app",
}


def main() -> None:
    """Print {"versions": {package: version}, "faults": [sentence]}."""
    from lungseg.utils.errors import first_line

    versions: dict[str, str] = {}
    faults: list[str] = []
    for package, module in _NEEDED.items():
        try:
            if package == "monailabel":
                from lungseg.workflows.label.setup.torchvision_stub import declare_operators

                declare_operators()
            import_module(module)
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unpackaged"
        except Exception as error:  # a broken package can raise anything
            faults.append(f"{package} cannot be imported ({first_line(error)})")
    for package, first in (("numpy", "2"), ("pydicom", "3")):
        if versions.get(package, "").split(".")[0] == first:
            faults.append(f"{package} is {versions[package]}, but MONAI Label needs a version below {first}")
    # MONAI Label prints when it is imported, so only the last line is the report.
    print("\n" + json.dumps({"versions": versions, "faults": faults}))


if __name__ == "__main__":
    main()
