# SPDX-License-Identifier: Apache-2.0
"""Keys of prepared cases: another file, another transform or another version has another key."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from importlib.metadata import version
from types import CodeType, ModuleType
from typing import Any

import numpy as np
import torch

_PACKAGES = ("lungseg", "monai", "torch", "numpy", "nibabel", "pillow", "pydicom", "scikit-image", "scipy")
# Items of a case that follow from the length of its list, see `lungseg.data.datalist`.
OF_LIST = {"share"}
# Attributes of MONAI's transforms that do not change a result.
_STATE = {"R", "_do_transform"}
# Objects that refer to each other are followed so far.
_DEEPEST = 12


def transforms_key(transforms: Iterable[Any]) -> str:
    """Return a hash of what transforms do: their classes, settings and source files, and the versions of libraries.

    A pickle of equal transforms differs from process to process; this does not.
    """
    described = [[version(name) for name in _PACKAGES], [_described(one, 0) for one in transforms]]
    return hashlib.blake2b(json.dumps(described).encode(), digest_size=16).hexdigest()


def case_key(case: Mapping[str, Any], transforms: str) -> str:
    """Return the key of a case that is prepared by transforms with this `transforms_key`.

    It changes with every item of the case but `OF_LIST`, and with the size and the time of change of its files.
    """
    items = {name: item for name, item in case.items() if name not in OF_LIST}
    states = [(text, *_state(text)) for text in _texts(items)]
    described = repr((transforms, sorted((str(name), repr(item)) for name, item in items.items()), states))
    return hashlib.blake2b(described.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str | os.PathLike):
        yield os.fspath(value)
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def _state(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # not every text is the name of a file
        return ()
    return found.st_size, found.st_mtime_ns


def _described(value: Any, depth: int) -> Any:
    """Return `value` as JSON can hold it, the same in every process."""
    if depth > _DEEPEST:
        return type(value).__qualname__
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return repr(value)
    if isinstance(value, logging.Logger | ModuleType):
        return str(getattr(value, "name", getattr(value, "__name__", "")))
    if isinstance(value, Enum | torch.dtype | torch.device | np.dtype):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.ndarray | torch.Tensor):
        array = np.ascontiguousarray(value.cpu().numpy() if isinstance(value, torch.Tensor) else value)
        return [str(array.dtype), array.shape, hashlib.blake2b(array.tobytes()).hexdigest()]
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(_described(item, depth + 1)) for item in value)
    if isinstance(value, list | tuple):
        return [_described(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return [[str(name), _described(item, depth + 1)] for name, item in value.items()]
    if isinstance(value, functools.partial):
        return [_described(part, depth + 1) for part in (value.func, value.args, value.keywords)]
    if isinstance(value, CodeType):
        return [value.co_code.hex(), _described(value.co_names, depth + 1), _described(value.co_consts, depth + 1)]
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        parts = [getattr(value, f"__{name}__", None) for name in ("code", "defaults", "kwdefaults", "self")]
        described = (_described(part, depth + 1) for part in (*parts, _cells(value)))
        return [value.__module__, value.__qualname__, _source(value), *described]
    attributes = [
        [name, _described(item, depth + 1)]
        for name, item in sorted(_attributes(value).items())
        # MONAI's transforms note in one whether they are being traced.
        if name not in _STATE and not isinstance(item, threading.local)
    ]
    return [_described(type(value), depth + 1), attributes or _text(value)]


def _attributes(value: Any) -> dict[str, Any]:
    """Return the attributes of an object, those in slots included."""
    state = object.__getstate__(value)
    parts = state if isinstance(state, tuple) else (state,)
    return {name: item for part in parts if part for name, item in part.items()}


def _text(value: Any) -> str:
    """Return the text of an object without attributes, such as a range or a number; "" if it is the object's place."""
    text = repr(value)
    return "" if " at 0x" in text else text


def _cells(function: Any) -> list[Any]:
    return [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]


def _source(value: Any) -> str:
    """Return a hash of the file that defines a class or a function; "" for those of the interpreter."""
    try:
        file = inspect.getsourcefile(value)
    except TypeError:
        return ""
    return "" if file is None else _file_hash(file)


@functools.cache
def _file_hash(file: str) -> str:
    try:
        with open(file, "rb") as source:
            return hashlib.blake2b(source.read(), digest_size=16).hexdigest()
    except OSError:
        return ""
