# SPDX-License-Identifier: Apache-2.0
"""Know again whether a network and its transforms are those that measured a case."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np
import torch

_RANDOM = np.random.RandomState | np.random.Generator | torch.Generator


def fingerprint(things: object) -> str:
    """Return a SHA-256, in hex, that is the same in each process for things that compute the same.

    Objects are compared by their class and attributes, networks by their structure and weights, functions by their
    names and code. States of random generators and the device do not count.

    Args:
        things: anything that a config builds, such as {"network": network, "postprocessing": transforms}.
    """
    digest = hashlib.sha256()
    _add(things, digest, [])
    return digest.hexdigest()


def _add(thing: object, digest: Any, above: list[int]) -> None:
    def text(value: object) -> None:
        digest.update(f"{value}\n".encode(errors="backslashreplace"))

    if thing is None or isinstance(thing, bool | int | float | complex | str | bytes | Enum | torch.dtype | np.dtype):
        text(f"{type(thing).__name__} {thing!r}")
    elif isinstance(thing, torch.device | _RANDOM):
        text(type(thing).__name__)
    elif isinstance(thing, np.ndarray | torch.Tensor):
        text(f"{thing.dtype} {tuple(thing.shape)}")
        digest.update(_bytes(thing))
    elif id(thing) in above:
        text("above")
    else:
        parts = _parts(thing)
        text(f"{_name(thing)} {len(parts)}")
        for key, part in parts.items():
            text(key)
            _add(part, digest, [*above, id(thing)])


def _bytes(array: np.ndarray | torch.Tensor) -> bytes:
    if isinstance(array, torch.Tensor):
        # NumPy has not all of PyTorch's types.
        array = array.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy()
    return np.ascontiguousarray(array).tobytes()


def _parts(thing: Any) -> dict[Any, Any]:
    """Return what a thing consists of, in an order that does not depend on the process."""
    if isinstance(thing, torch.nn.Module):
        return {"structure": str(thing), "weights": dict(thing.state_dict())}
    if isinstance(thing, Mapping):
        return dict(thing)
    if isinstance(thing, set | frozenset):
        return dict(enumerate(sorted(thing, key=repr)))
    if isinstance(thing, list | tuple):
        return dict(enumerate(thing))
    if isinstance(thing, functools.partial):
        return {"function": thing.func, "arguments": thing.args, "named": thing.keywords}
    if inspect.ismethod(thing):
        return {"function": thing.__func__, "self": thing.__self__}
    if inspect.isfunction(thing):
        code, cells = thing.__code__, thing.__closure__ or ()
        constants = [constant for constant in code.co_consts if not inspect.iscode(constant)]
        held = [cell.cell_contents for cell in cells]
        return {"code": code.co_code, "names": code.co_names, "held": [constants, held, thing.__defaults__]}
    if inspect.isroutine(thing) or inspect.isclass(thing):
        return {}
    facts = getattr(thing, "__dict__", {})
    return {key: facts[key] for key in sorted(facts) if not isinstance(facts[key], _RANDOM)}


def _name(thing: object) -> str:
    named: Any = thing if inspect.isroutine(thing) or inspect.isclass(thing) else type(thing)
    return f"{getattr(named, '__module__', '')}.{getattr(named, '__qualname__', type(named).__name__)}"
