# SPDX-License-Identifier: Apache-2.0
"""One policy for the configs of others: a bundle or a run may differ from this package's in values, not in code.

A config of MONAI is a program: an expression is evaluated, a target is called, a macro reads another file, and some
arguments fetch weights. What this package's own config does is known, so every item must be that config's, or a plain
value in the place of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any

from lungseg.utils.errors import LungsegError
from lungseg.utils.text import shorten_list

REMEDY = (
    "use the author's weights alone, or add --trust (in Python trust=True) if you would run a program of the author"
)

# Networks whose every argument is a number or a name; others of MONAI fetch weights (`pretrained`) or call a function.
_NETWORKS = ("AttentionUnet", "BasicUNet", "BasicUNetPlusPlus", "DynUNet", "HighResNet", "SegResNet", "UNet", "VNet")
# Item of the config that names the network, and the ones whose texts are free: settings, not arguments of a component.
_NETWORK, _DATA = "network_def", "data_source"
# Functions of ours that compute figures: a recipe puts one in the place of another.
_FIGURES = tuple(f"lungseg.training.{name}" for name in ("per_lung", "per_visible_lung", "union"))
_SHOWN = 3


def is_computed(item: object) -> bool:
    """Return whether MONAI would compute a config's item: an expression, a reference, or a macro."""
    return isinstance(item, str) and item.lstrip().startswith(("$", "@", "%"))


def check_values_only(config: object, own: Mapping[str, Any], file: str | PathLike[str]) -> None:
    """Check that a config holds this package's code, whatever its values are; see `foreign_items`.

    Args:
        config: content of the other config.
        own: content of this package's.
        file: the other config's, for the error.

    Raises:
        LungsegError: an item would run code or fetch something (config-runs-code); the first such items are named.
    """
    if items := foreign_items(config, own):
        what = f"this config would run code that is not lungseg's ({shorten_list(items, _SHOWN)})"
        raise LungsegError(what, file, REMEDY, code="config-runs-code")


def foreign_items(config: object, own: Mapping[str, Any]) -> list[str]:
    """Return the ids of the items that would run code which this package's config does not run.

    Args:
        config: content of the other config.
        own: content of this package's.
    """
    try:
        return list(_foreign_items(config, own, ""))
    except RecursionError:
        return ["lists in lists without end"]


def _foreign_items(item: Any, own: Any, name: str) -> Iterator[str]:
    """Yield the ids of the items that are neither this package's nor plain values in their place."""
    if _is_same(item, own):
        return
    if name == _NETWORK:
        yield from _foreign_parts(item)
    elif isinstance(own, dict):
        if not isinstance(item, dict):
            yield name or "the whole file"
            return
        for key in [*own, *(key for key in item if key not in own)]:
            part = f"{name}#{key}" if name else key
            if key in own and key in item:
                yield from _foreign_items(item[key], own[key], part)
            elif not (key in item and "_target_" in own and _is_setting(key, item[key])):
                yield part
    elif isinstance(own, list) and any(isinstance(part, dict | list) or is_computed(part) for part in own):
        if not isinstance(item, list) or len(item) != len(own):
            yield name
            return
        for number, (part, own_part) in enumerate(zip(item, own, strict=True)):
            yield from _foreign_items(part, own_part, f"{name}#{number}")
    elif not _can_replace(item, name) and not (item in _FIGURES and own in _FIGURES):
        yield name


def _is_same(item: object, own: object) -> bool:
    if isinstance(item, str) and isinstance(own, str):
        # MONAI writes the second form of an id for the first one when it parses a config.
        return item.replace("#", "::") == own.replace("#", "::")
    return type(item) is type(own) and item == own


def _can_replace(value: object, name: str) -> bool:
    """Return whether a value is plain and may stand at a place where this package has a plain or computed value."""
    *above, last = name.split("#")
    if last.startswith("_") or not _is_plain(value):
        return False
    # A text is a name to most components, which some of them look up and import.
    return not above or above == [_DATA] or not _has_text(value)


def _is_setting(key: str, value: object) -> bool:
    """Return whether an argument that this package does not give a component of its own sets numbers alone."""
    return key.isidentifier() and not key.startswith("_") and _is_plain(value) and not _has_text(value)


def _foreign_parts(network: object) -> Iterator[str]:
    """Yield the ids of a network's items that are not plain values, or its target if it is not a known network."""
    if not isinstance(network, dict):
        yield _NETWORK
        return
    if not _is_known_network(network.get("_target_")):
        yield f"{_NETWORK}#_target_"
    for key, value in network.items():
        if key != "_target_" and (not key.isidentifier() or key.startswith("_") or not _is_plain(value)):
            yield f"{_NETWORK}#{key}"


def _is_known_network(target: object) -> bool:
    from monai.networks import nets

    for name in _NETWORKS:
        if target in (name, f"{nets.__name__}.{name}", f"{getattr(nets, name).__module__}.{name}"):
            return True
    return False


def _is_plain(value: object) -> bool:
    """Return whether a value is computed nowhere, names no component, and has no address to connect to."""
    if isinstance(value, dict):
        return all(not key.lstrip().startswith("_") and _is_plain(part) for key, part in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, str):
        return not is_computed(value) and ("://" not in value or value.startswith("sqlite:///"))
    return value is None or isinstance(value, bool | int | float)


def _has_text(value: object) -> bool:
    if isinstance(value, list):
        return any(map(_has_text, value))
    return isinstance(value, str | dict)
