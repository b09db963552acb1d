# SPDX-License-Identifier: Apache-2.0
"""How a process that segments begins: quick, and quiet."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

# Imported by MONAI where it is installed, it takes seconds and wants a CUDA library even without a GPU.
_DEPLOY = ("monai.deploy",)
# What MONAI imports at once where it is installed, does without where it is not, and segmenting has no use for.
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
    """Import MONAI in a third of its time, as if packages that segmenting does not need were not installed.

    What MONAI makes of them, its engines for one, then fails in this process for good: this is for processes that only
    segment. To all others than MONAI the packages stay as they are.
    """
    _import_monai_without(_UNUSED)


def import_monai_without_deploy() -> None:
    """Import MONAI without MONAI Deploy, which can still be imported afterwards."""
    _import_monai_without(_DEPLOY)


def block_monai_deploy() -> None:
    """Let `import monai` pass over MONAI Deploy, whenever it comes: for processes that do not deploy."""
    sys.modules.setdefault("monai.deploy", None)


def silence_libraries() -> None:
    """Keep other libraries' notices from the terminal: for processes of the command alone.

    Only the handler of last resort is silenced, so that logging that a user configures still works.
    """
    warnings.filterwarnings("ignore")
    logging.lastResort = logging.NullHandler()  # type: ignore[assignment]


def _import_monai_without(names: tuple[str, ...]) -> None:
    if "monai" in sys.modules:
        return
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        import monai  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]


def lazy_exports(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a `__getattr__` (PEP 562) for a package whose names are imported when they are first used.

    MONAI and PyTorch take seconds to import, and most commands need only a few of a package's names.

    Args:
        package: the package's `__name__`.
        modules: exported name -> the module of the package that defines it.
    """

    def getattribute(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return getattribute
