# SPDX-License-Identifier: Apache-2.0
"""Set items of a config, each checked against the config's own value or the arguments of its component."""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from lungseg.model.components import component_arguments, components_in, takes_argument
from lungseg.model.trust import is_computed
from lungseg.utils.errors import UsageError


def apply_overrides(parser: ConfigParser, overrides: Mapping[str, Any], file: Path) -> None:
    """Set items of a config; they may be arguments that a component takes and the config does not state.

    Args:
        parser: holds the config.
        overrides: id -> value.
        file: of the config, for the errors.

    Raises:
        UsageError: an id is not in the config, or its value has another kind than the config's.
    """
    for key, value in overrides.items():
        if key in parser:
            _check_kind(key, parser[key], value, file)
        else:
            _check_is_argument(parser, key, file)
        parser[key] = value


def _check_kind(key: str, old: object, new: object, file: Path) -> None:
    """Check that a value can replace another; expressions, references and null can be anything."""
    if any(item is None or is_computed(item) for item in (old, new)) or _kind(old) == _kind(new):
        return
    example = textwrap.shorten(json.dumps(old), 60, placeholder=" …")
    remedy = f"give {_kind(old)}, such as {example}"
    raise UsageError(f"the item {key!r} cannot be {new!r}", file, remedy, code="bad-config-value")


def _kind(value: object) -> str:
    kinds: dict[type, str] = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    return kinds.get(type(value), "a component")


def _check_is_argument(parser: ConfigParser, key: str, file: Path) -> None:
    owner, _, name = key.replace("::", "#").rpartition("#")
    component = parser.get(owner) if owner else None
    if name.isidentifier() and not name.startswith("_") and takes_argument(component, name):
        return
    arguments, _ = component_arguments(component)
    near = [f"{owner}#{one}" for one in difflib.get_close_matches(name, arguments, n=3)]
    if arguments and not near:
        remedy = f"{owner} takes {', '.join(arguments)}"
    else:
        near = near or difflib.get_close_matches(key, list(item_ids(parser.get())), n=3)
        remedy = f"did you mean {' or '.join(near)}" if near else "see the config for its items"
    raise UsageError(f"the config has no item {key!r}", file, remedy, code="unknown-config-item")


def item_ids(config: object, prefix: str = "") -> Iterator[str]:
    """Yield the ids of a config's items, such as "optimizer#lr" and "load#0#keys"."""
    items: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(config, Mapping):
        items = iter(config.items())
    elif isinstance(config, list) and any(isinstance(part, Mapping) for part in config):
        items = iter(enumerate(config))
    for key, value in items:
        yield f"{prefix}{key}"
        yield from item_ids(value, f"{prefix}{key}#")


def argument_ids(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ids of the arguments that the components of a config take, such as "optimizer#betas"."""
    for name, component in components_in(config):
        arguments, _ = component_arguments(component)
        yield from (f"{name}#{argument}" for argument in arguments)
