# SPDX-License-Identifier: Apache-2.0
"""An option that a command does not have: its usage, the options that are like it, and the item of the config."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import shlex
from collections.abc import Iterator
from typing import Any, NoReturn

_SHOWN = 3
_SAFE = re.compile(r"\w[\w#=.,:/+-]*")


def refuse_unknown(options: argparse.Namespace, words: list[str]) -> NoReturn:
    """End with the usage of the command and, for each option that it does not have, what the user may have meant.

    Args:
        options: of the command, from `add_command`.
        words: the words of the command line that nothing took.
    """
    parser: argparse.ArgumentParser = options.parser
    hints = [hint for name, value in _options_in(words) if (hint := _hint(options, name, value))]
    lines = [f"unrecognized arguments: {shlex.join(words)}", *hints]
    if not hints:
        lines.append(f"{parser.prog} --help shows the options")
    parser.error("\n  ".join(lines))


def _options_in(words: list[str]) -> Iterator[tuple[str, str | None]]:
    """Yield each option and its value, if it has one; an argument without an option has no name."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            yield "", word
            continue
        name, equals, value = word.partition("=")
        takes_next = not equals and rest and (not rest[0].startswith("-") or _is_number(rest[0]))
        yield name, value if equals else (rest.pop(0) if takes_next else None)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _hint(options: argparse.Namespace, name: str, value: str | None) -> str:
    if not name:
        known = options.parser._option_string_actions
        return (
            f"did you mean --data {shlex.quote(str(value))}"
            if "--data" in known and os.path.exists(value or "")
            else ""
        )
    plain = name.lstrip("-").replace("-", "_").lower()
    items = _items(options, plain)
    found = [_with_value(option, value) for option in _near_options(options, plain, items)]
    found += [f"--config {_quoted(f'{item}={_as_json(value)}')}" for item in items]
    return f"{name}: did you mean {', or '.join(found)}" if found else ""


def _with_value(option: str, value: str | None) -> str:
    return option if value is None else f"{option} {_quoted(value)}"


def _quoted(text: str) -> str:
    """Quote a text for a shell, but not for the mark of an item, which a shell takes as it is within a word."""
    return text if _SAFE.fullmatch(text) else shlex.quote(text)


def _as_json(value: str | None) -> str:
    """Return a value as it stands in a config."""
    if value is None:
        return "true"
    try:
        return json.dumps(json.loads(value), separators=(",", ":"))
    except ValueError:
        return value


def _near_options(options: argparse.Namespace, name: str, items: list[str]) -> list[str]:
    """Return the options that set one of the items, or else those with a name like this one."""
    setting = [option for item, option in getattr(options, "items", {}).items() if item in items]
    if setting:
        return setting
    known = [option for option in options.parser._option_string_actions if option.startswith("--")]
    near = difflib.get_close_matches(f"--{name.replace('_', '-')}", known, n=1, cutoff=0.7 if items else 0.6)
    return [] if items and items[0].rpartition("#")[2] == name else near


def _items(options: argparse.Namespace, name: str) -> list[str]:
    """Return the items of the command's config with this name, or else with one that is like it."""
    if not getattr(options, "configs", ()):
        return []
    from lungseg.model.config import read_config
    from lungseg.model.overrides import argument_ids, item_ids
    from lungseg.model.paths import config_file

    config = read_config([config_file(config) for config in options.configs], {})
    every = [one for one in item_ids(config) if not one.rpartition("#")[2].startswith("_")]
    same = [one for one in every if one.rpartition("#")[2] == name]
    if not same:
        same = [one for one in argument_ids(config) if one.rpartition("#")[2] == name]
    if not same:
        last = {one.rpartition("#")[2] for one in every}
        near = difflib.get_close_matches(name, [one for one in last if not one.isdecimal()], n=1, cutoff=0.8)
        same = [one for one in every if near and one.rpartition("#")[2] == near[0]]
    same = sorted(dict.fromkeys(_referred(config, one) for one in same), key=lambda one: one.count("#"))
    return same[:_SHOWN]


def _referred(config: dict[str, Any], item: str) -> str:
    """Return the item that another one takes its value from, such as `epochs` for `train#trainer#max_epochs`."""
    value: Any = config
    for part in item.split("#"):
        value = value[int(part)] if isinstance(value, list) else value.get(part)
    if (
        isinstance(value, str)
        and value.startswith("@")
        and value[1:] in config
        and not isinstance(config[value[1:]], dict)
    ):
        return value[1:]
    return item
