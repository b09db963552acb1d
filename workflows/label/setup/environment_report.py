# SPDX-License-Identifier: Apache-2.0
"""Run by `lungseg label check` in the second environment: what can be imported there, in which versions, as JSON."""

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

    versions, faults = {}, []
    for package, module in _NEEDED.items():
        try:
            if package == "monailabel":
                from lungseg.workflows.label.setup.torchvision_stub import declare_operators

                declare_operators()
            import_module(module)
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unpackaged"
        except Exception as error:  # a broken package raises whatever it likes
            faults.append(f"{package} cannot be imported ({first_line(error)})")
    for package, first in (("numpy", "2"), ("pydicom", "3")):
        if versions.get(package, "").split(".")[0] == first:
            faults.append(f"{package} is {versions[package]}, but MONAI Label needs one before {first}")
    # MONAI Label prints when it is imported: the line that counts is the last one.
    print("\n" + json.dumps({"versions": versions, "faults": faults}))


if __name__ == "__main__":
    main()
