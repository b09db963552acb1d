# SPDX-License-Identifier: Apache-2.0
"""Say which item of a config failed, and why: MONAI's nested errors name neither."""

from __future__ import annotations

import re
from typing import Any

from monai.bundle import ReferenceResolver
from monai.utils import OptionalImportError

from lungseg.utils.errors import LungsegError, UsageError, first_line

# Packages that an extra of this one installs, by the name that is imported.
_EXTRAS = {"mlflow": "mlflow", "onnx": "onnx", "onnxruntime": "onnx", "onnxscript": "onnx"}
# Sentences of PyTorch's allocators and of the kernel's.
_MEMORY = ("can't allocate memory", "out of memory", "Cannot allocate memory", "not enough memory")


class NamingResolver(ReferenceResolver):
    """MONAI's resolver of a config's items, which notes the item that failed first.

    Attributes:
        failed: id of that item, such as "train#handlers#2"; empty as long as none has failed.
    """

    failed = ""

    def _resolve_one_item(self, id: str, waiting_list: set[str] | None = None, **kwargs: Any) -> Any:
        try:
            return super()._resolve_one_item(id, waiting_list, **kwargs)
        except Exception:
            self.failed = self.failed or str(id).replace("::", "#")
            raise


def build_error(error: Exception, item: str) -> LungsegError:
    """Return the error that users see where an item cannot be built.

    Args:
        error: the original one.
        item: id of the item.
    """
    if is_memory_error(error):
        return memory_error()
    if package := _missing_package(error):
        extra = _EXTRAS.get(package)
        wanted = f"'lungseg[{extra}]'" if extra else package
        what = f"{item}: the package {package} is not installed"
        remedy = f"install it with `pip install {wanted}`, or leave the item out"
        return UsageError(what, remedy=remedy, code="package-missing")
    what = f"{item}: nothing can be built from this item ({first_line(error)})"
    return UsageError(what, remedy="correct the overrides", code="config-not-buildable")


def _missing_package(error: Exception) -> str | None:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return error.name.partition(".")[0]
    if isinstance(error, OptionalImportError):
        text = str(error)
        found = re.search(r"No module named '([\w.]+)'", text) or re.search(r"(?:import|package `)\s*([\w.]+)", text)
        return found[1].partition(".")[0] if found else None
    return None


def is_memory_error(error: BaseException) -> bool:
    """Return whether memory was full: each of PyTorch's allocators says so in its own way."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sentence in str(error) for sentence in _MEMORY)
    )


def memory_error() -> LungsegError:
    """Return the error that users see where memory was full."""
    remedy = "lower --batch-size or --image-size, or hold the images on disk with --config cache=disk"
    return UsageError("there is not enough memory for this training", remedy=remedy, code="memory-full")
