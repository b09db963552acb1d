# SPDX-License-Identifier: Apache-2.0
"""The settings of a run, kept with its checkpoint: a run that is resumed with others would be neither of the two."""

from __future__ import annotations

import functools
import inspect
import json
import textwrap
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from os import PathLike
from typing import Any

import numpy as np
import torch

from lungseg.utils.errors import UsageError

# Where the data lie, and which of them are left out, may differ when a run goes on.
_PLACES = ("dataset_dir", "images", "masks", "run_splits", "exclude")
# Its numbers depend on that of the epochs.
_SCHEDULE = "lr_scheduler"
_SHOWN = 3
_LONGEST = 30
_LARGEST_ARRAY = 16


def kept_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a checkpoint can hold them that is read without running code.

    Args:
        settings: name -> value, or what a config built: it is described by its classes and their public attributes, a
            network by its structure, a function by its name. Weights do not count.
    """
    described: dict[str, Any] = _describe(settings, ())
    source = described.get("data_source")
    if isinstance(source, dict):
        described["data_source"] = {key: value for key, value in source.items() if key not in _PLACES}
    return described


def check_same_settings(
    kept: Mapping[str, Any] | None,
    running: Mapping[str, Any] | None,
    run: str | PathLike[str],
    may_change: Collection[str] = (),
) -> dict[str, Any]:
    """Check that a run goes on with the settings that it was started with.

    What one of the two does not state is not compared: another version of a package may have other attributes.

    Args:
        kept: those of the checkpoint; None if it has none.
        running: those of now; None if there are none.
        run: the folder of the checkpoint, for the error.
        may_change: names of the settings that may differ.

    Returns:
        Name -> [value of the checkpoint, value of now] of those among `may_change` that differ.

    Raises:
        UsageError: others differ (resume-with-other-settings); the first ones are named.
    """
    if kept is None or running is None:
        return {}
    stated = [name for name in may_change if name in kept and name in running]
    changes = {name: [kept[name], running[name]] for name in stated if kept[name] != running[name]}
    rest = {name: value for name, value in kept.items() if name not in changes}
    if "epochs" in changes and isinstance(rest.get(_SCHEDULE), dict):
        rest[_SCHEDULE] = {"_target_": rest[_SCHEDULE].get("_target_")}
    differences = list(_differences(rest, running, ""))
    if differences:
        more = f" and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
        what = f"the run was started with other settings: {', '.join(differences[:_SHOWN])}{more}"
        remedy = (
            "give them the values of its start again, in the run's config.json or as overrides, or start a new run, "
            "which can begin with the weights of this one (--init, in a config the item init)"
        )
        raise UsageError(what, run, remedy, code="resume-with-other-settings")
    return changes


def _describe(thing: Any, above: tuple[int, ...]) -> Any:
    """Describe anything that a config builds by plain values."""
    # A member of an enumeration may be a text, and a number of NumPy a float.
    if isinstance(thing, Enum):
        return thing.value
    if isinstance(thing, np.generic):
        return thing.item()
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if isinstance(thing, np.ndarray | torch.Tensor):
        return thing.tolist() if np.prod(thing.shape) <= _LARGEST_ARRAY else list(thing.shape)
    if id(thing) in above:
        return "above"
    within = functools.partial(_describe, above=(*above, id(thing)))
    if isinstance(thing, Mapping):
        return {str(key): within(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [within(part) for part in thing]
    if isinstance(thing, functools.partial):
        return {"_target_": _name(thing.func), "args": within(thing.args), **within(thing.keywords)}
    if inspect.isroutine(thing) or inspect.isclass(thing):
        return _name(thing)
    return {"_target_": _name(type(thing))} | {key: within(value) for key, value in _attributes(thing).items()}


def _attributes(thing: Any) -> dict[str, Any]:
    """Return the attributes on which it depends what a new object does."""
    if isinstance(thing, torch.optim.Optimizer):
        return dict(thing.defaults)
    public = {key: value for key, value in getattr(thing, "__dict__", {}).items() if not key.startswith("_")}
    if not isinstance(thing, torch.nn.Module):
        return public
    public.pop("training", None)
    if next(thing.parameters(), None) is not None:
        return public | {"structure": " ".join(str(thing).split())}
    return public | dict(thing.named_children()) | dict(thing.named_buffers(recurse=False))


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', type(thing).__name__)}"


def _differences(kept: Any, running: Any, name: str) -> Iterator[str]:
    if isinstance(kept, dict) and isinstance(running, dict):
        for key in kept:
            if key in running:
                yield from _differences(kept[key], running[key], f"{name}#{key}" if name else key)
    elif isinstance(kept, list) and isinstance(running, list) and len(kept) == len(running) and _has_components(kept):
        for number, (one, other) in enumerate(zip(kept, running, strict=True)):
            yield from _differences(one, other, f"{name}#{number}")
    elif kept != running:
        before, now = (textwrap.shorten(json.dumps(one), _LONGEST, placeholder=" …") for one in (kept, running))
        yield f"{name} ({before}, now {now})"


def _has_components(items: list[Any]) -> bool:
    return any(isinstance(item, dict) for item in items)
