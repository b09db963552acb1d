# SPDX-License-Identifier: Apache-2.0
"""Import MONAI quickly and quietly, and a package's names when they are first used."""

from __future__ import annotations

import gc
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
    *_DEPLOY,
    "cucim",
    "cupy",
    "cupyx",
    "ignite",
    "itk",
    "jsonschema",
    "matplotlib",
    "nibabel",
    "pandas",
    "psutil",
    "pydicom",
    "requests",
    "scipy.signal",
    "scipy.sparse",
    "scipy.stats",
    "skimage",
    "sklearn",
    "tensorboard",
    "tensorboardX",
    "tifffile",
    "torch.utils.tensorboard",
)
# Packages of MONAI itself, which imports all that it has, that no network, transform and inferer needs.
_UNUSED_OF_MONAI = (
    "monai.apps.auto3dseg",
    "monai.apps.deepedit",
    "monai.apps.deepgrow",
    "monai.apps.detection",
    "monai.apps.generation",
    "monai.apps.nnunet",
    "monai.apps.nuclick",
    "monai.apps.pathology",
    "monai.apps.reconstruction",
    "monai.apps.vista3d",
    "monai.auto3dseg",
    "monai.engines",
    "monai.fl",
    "monai.handlers",
    "monai.losses",
    "monai.metrics",
    "monai.optimizers",
)


def import_monai_quickly() -> None:
    """Import PyTorch and MONAI in half the time, without what segmentation does not need.

    MONAI is imported as if some packages were not installed, and without the packages of its own that no network,
    transform and inferer needs; MONAI's features that use the former then fail in this process, and a config names the
    latter's classes with their package. This is for processes that only segment. Other code can import all of them as
    usual. Where MONAI is imported already, nothing changes.
    """
    if "monai" in sys.modules:
        return
    was_enabled = gc.isenabled()
    # Modules stay, so that looking for garbage among them would take a fifth of the time in vain, now and later.
    gc.disable()
    try:
        try:
            _import_monai_without((*_UNUSED, *_UNUSED_OF_MONAI))
        except ImportError:
            # Of another version, which needs one of them.
            for name in [name for name, module in sys.modules.items() if module and name.split(".")[0] == "monai"]:
                del sys.modules[name]
            _import_monai_without(_UNUSED)
        _forget_default_readers()
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


def _forget_default_readers() -> None:
    """Let MONAI's `LoadImage` make no reader but the one that it is given: each would import its package."""
    from monai.transforms import SUPPORTED_READERS

    SUPPORTED_READERS.clear()


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
