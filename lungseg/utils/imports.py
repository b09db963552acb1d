# SPDX-License-Identifier: Apache-2.0
"""Import MONAI quickly and quietly, and a package's names when they are first used."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, cast

# MONAI imports it where it is installed, which takes seconds and needs a CUDA library even without a GPU.
_DEPLOY = ("monai.deploy",)
# Optional packages that MONAI imports where they are installed, and that segmentation does not use.
_UNUSED = (
    "ignite",
    "matplotlib",
    *_DEPLOY,
    "pandas",
    "scipy.signal",
    "scipy.stats",
    "skimage",
    "sklearn",
    "tensorboard",
    "torch.utils.tensorboard",
)


def import_monai_quickly() -> None:
    """Import MONAI in a third of the time, as if the packages that segmentation does not need were not installed.

    MONAI's features that use them, such as its engines, then fail in this process: this is for processes that only
    segment. Other code can import the packages as usual.
    """
    _import_monai_without(_UNUSED)


def import_monai_without_deploy() -> None:
    """Import MONAI without MONAI Deploy, which can still be imported afterwards."""
    _import_monai_without(_DEPLOY)


def block_monai_deploy() -> None:
    """Keep later imports of MONAI from importing MONAI Deploy: for processes that do not deploy."""
    _modules().setdefault("monai.deploy", None)


def silence_libraries() -> None:
    """Keep other libraries' warnings off the terminal: for processes of the command only.

    Logging that a user configures still works, apart from that of MONAI's workflows.
    """
    warnings.filterwarnings("ignore")
    # Without a handler of last resort, logging itself prints that there is none.
    logging.lastResort = logging.NullHandler()
    # It has a handler of its own, by which it reports that it keeps no log file.
    logging.getLogger("monai.bundle.workflows").disabled = True


def _import_monai_without(names: tuple[str, ...]) -> None:
    if "monai" in sys.modules:
        return
    modules = _modules()
    hidden = [name for name in names if name not in modules]
    modules.update(dict.fromkeys(hidden))
    try:
        import monai  # noqa: F401
    finally:
        for name in hidden:
            del modules[name]


def _modules() -> dict[str, ModuleType | None]:
    """Return `sys.modules`, where None makes the import of a module fail."""
    return cast(dict[str, ModuleType | None], sys.modules)


def lazy_exports(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a module `__getattr__` (PEP 562) that imports each name when it is first used.

    MONAI and PyTorch take seconds to import, and most commands need only a few of a package's names.

    Args:
        package: the package's `__name__`.
        modules: exported name -> the package's module that defines it.
    """

    def getattribute(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return getattribute
